//! The program code of a crate as the compiler sees it: its modules in the order of their
//! declaration, the types and paths in each, and the lines of each file, without tests.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};
use syn::{Attribute, ImplItem, Item, Meta, UseTree, spanned::Spanned, visit::Visit};

/// A crate of the workspace.
pub(crate) struct Crate {
    pub name: String,
    pub files: Vec<File>,
    /// The modules of the program, the root first.
    pub modules: Vec<Module>,
}

/// A source file.
pub(crate) struct File {
    pub path: PathBuf,
    pub text: String,
    /// Whether it belongs to a module behind `#[cfg(test)]`.
    pub test: bool,
    /// The lines of test items within it, first and last, from 1.
    test_lines: Vec<(usize, usize)>,
}

/// A module that is not behind `#[cfg(test)]`.
#[derive(Default)]
pub(crate) struct Module {
    /// Its names below the root.
    pub path: Vec<String>,
    pub file: PathBuf,
    /// The modules that it declares, in order.
    pub children: Vec<String>,
    /// Structs, enums, unions and traits, those within functions too.
    pub types: Vec<String>,
    /// Names that `use` brings in, and the paths that they stand for.
    pub imports: HashMap<String, Vec<String>>,
    /// Paths in code, imports and macro calls, as written.
    pub paths: Vec<Vec<String>>,
}

impl File {
    /// How many lines of program it has, comments included. Lists of words do not count.
    pub(crate) fn program_lines(&self) -> usize {
        let is_test = |line: usize| {
            self.test_lines.iter().any(|(first, last)| (*first..=*last).contains(&line))
        };
        let is_code = |line: &str| !line.trim_start().starts_with('"');
        let lines = (1..).zip(self.text.lines());
        lines.filter(|(number, line)| !is_test(*number) && is_code(line)).count()
    }
}

impl Crate {
    /// Reads the crate in this folder, from `src/lib.rs` or `src/main.rs`.
    pub(crate) fn read(folder: &Path) -> Self {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let source = folder.join("src");
        let root = ["lib.rs", "main.rs"].map(|name| source.join(name));
        let root = root.into_iter().find(|path| path.exists()).unwrap();
        let mut reader = Reader {
            krate: Self { name, files: Vec::new(), modules: Vec::new() },
            path: Vec::new(),
            folder: source,
            module: 0,
            file: 0,
            test: false,
        };
        reader.file(root);
        reader.krate
    }

    fn module(&self, path: &[String]) -> Option<&Module> {
        self.modules.iter().find(|module| module.path == path)
    }

    /// The module that defines what `path` names in `from`; `None` where it is of another crate or
    /// not a path from a module.
    pub(crate) fn resolve<'a>(&'a self, from: &'a Module, path: &[String]) -> Option<&'a Module> {
        self.follow(from, path, 0)
    }

    fn follow<'a>(&'a self, from: &'a Module, path: &[String], depth: usize) -> Option<&'a Module> {
        let mut at = from;
        for (index, name) in path.iter().enumerate() {
            match name.as_str() {
                "crate" => at = self.module(&[])?,
                "self" => {}
                "super" => at = self.module(at.path.split_last()?.1)?,
                name if at.children.iter().any(|child| child == name) => {
                    at = self.module(&[at.path.as_slice(), &[name.to_owned()]].concat())?;
                }
                name => {
                    // A re-export leads to where the name is defined. `use x::x` names a crate.
                    let import = at.imports.get(name).filter(|_| depth < 8 && index > 0);
                    let Some(import) = import else { return (index > 0).then_some(at) };
                    let rest = path[index + 1..].iter();
                    let whole: Vec<_> = import.iter().chain(rest).cloned().collect();
                    return self.follow(at, &whole, depth + 1).or(Some(at));
                }
            }
        }
        Some(at)
    }
}

/// Walks the files of a crate from its root.
struct Reader {
    krate: Crate,
    /// The module that is read, and the folder of the files of its modules.
    path: Vec<String>,
    folder: PathBuf,
    /// Where it stands among the modules, and its file among the files.
    module: usize,
    file: usize,
    test: bool,
}

impl Reader {
    /// Reads the file of the module at hand.
    fn file(&mut self, path: PathBuf) {
        let text = std::fs::read_to_string(&path).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        self.file = self.krate.files.len();
        let (test, test_lines) = (self.test, Vec::new());
        self.krate.files.push(File { path: path.clone(), text, test, test_lines });
        self.items(path, &parsed.items);
    }

    fn items(&mut self, file: PathBuf, items: &[Item]) {
        if !self.test {
            self.module = self.krate.modules.len();
            let path = self.path.clone();
            self.krate.modules.push(Module { path, file, ..Module::default() });
        }
        items.iter().for_each(|item| self.visit_item(item));
    }

    fn here(&mut self) -> &mut Module {
        &mut self.krate.modules[self.module]
    }

    /// Notes the lines of a test item, or visits what is none.
    fn unless_test(&mut self, attributes: &[Attribute], node: &impl Spanned) -> bool {
        let outermost = !self.test && is_test(attributes);
        if outermost {
            let span = node.span();
            let lines = (span.start().line, span.end().line);
            self.krate.files[self.file].test_lines.push(lines);
        }
        !self.test && !outermost
    }

    fn named(&mut self, name: &syn::Ident) {
        let name = name.to_string();
        self.here().types.push(name);
    }

    /// Notes what a `use` brings in.
    fn imported(&mut self, tree: &UseTree, prefix: &[String]) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        let (name, path) = match tree {
            UseTree::Path(path) => return self.imported(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.imported(tree, prefix));
            }
            UseTree::Glob(_) => (None, prefix.to_vec()),
            UseTree::Name(name) if name.ident == "self" => {
                (prefix.last().cloned(), prefix.to_vec())
            }
            UseTree::Name(name) => (Some(name.ident.to_string()), with(&name.ident)),
            UseTree::Rename(name) => (Some(name.rename.to_string()), with(&name.ident)),
        };
        let here = self.here();
        here.imports.extend(name.map(|name| (name, path.clone())));
        here.paths.push(path);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if let Item::Mod(module) = item {
            self.visit_item_mod(module);
        } else if self.unless_test(attributes(item), item) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        let program = self.unless_test(&item.attrs, item);
        if program {
            self.here().children.push(name.clone());
        }
        let folder = self.folder.join(&name);
        let file = self.krate.files[self.file].path.clone();
        let outside = [folder.with_extension("rs"), folder.join("mod.rs")];
        let outside = match path_attribute(&item.attrs) {
            Some(path) => Some(file.with_file_name(path)),
            None => outside.into_iter().find(|path| path.exists()),
        };
        let above = (self.folder.clone(), self.module, self.file, self.test);
        self.path.push(name);
        (self.folder, self.test) = (folder, !program);
        match &item.content {
            Some((_, items)) => self.items(file, items),
            None => self.file(outside.unwrap_or_else(|| panic!("{:?} has no file", self.path))),
        }
        (self.folder, self.module, self.file, self.test) = above;
        self.path.pop();
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => return,
        };
        if self.unless_test(attributes, item) {
            syn::visit::visit_impl_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if self.unless_test(&field.attrs, field) {
            syn::visit::visit_field(self, field);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if self.unless_test(&local.attrs, local) {
            syn::visit::visit_local(self, local);
        }
    }

    fn visit_expr_block(&mut self, block: &'ast syn::ExprBlock) {
        if self.unless_test(&block.attrs, block) {
            syn::visit::visit_expr_block(self, block);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.named(&item.ident);
        syn::visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.named(&item.ident);
        syn::visit::visit_item_enum(self, item);
    }

    fn visit_item_union(&mut self, item: &'ast syn::ItemUnion) {
        self.named(&item.ident);
        syn::visit::visit_item_union(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.named(&item.ident);
        syn::visit::visit_item_trait(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.imported(&item.tree, &[]);
        }
    }

    // `pub(super)` uses nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.here().paths.push(names);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        let mut paths = Vec::new();
        paths_in(call.tokens.clone(), &mut paths);
        self.here().paths.append(&mut paths);
    }
}

/// The paths `a::b` among the tokens of a macro call.
fn paths_in(tokens: proc_macro2::TokenStream, paths: &mut Vec<Vec<String>>) {
    use proc_macro2::TokenTree::{Group, Ident, Punct};
    let (mut names, mut colons) = (Vec::new(), 0);
    for token in tokens {
        match token {
            Punct(mark) if mark.as_char() == ':' => {
                colons += 1;
                continue;
            }
            Ident(name) if colons == 2 => names.push(name.to_string()),
            Ident(name) => paths.push(std::mem::replace(&mut names, vec![name.to_string()])),
            Group(group) => {
                paths.push(std::mem::take(&mut names));
                paths_in(group.stream(), paths);
            }
            _ => paths.push(std::mem::take(&mut names)),
        }
        colons = 0;
    }
    paths.push(names);
    paths.retain(|names| names.len() > 1);
}

/// Whether one of these attributes leaves a thing out of the program.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            list.parse_args::<Meta>().is_ok_and(|condition| needs_test(&condition))
        }
        _ => false,
    })
}

/// Whether a condition holds in tests only.
fn needs_test(condition: &Meta) -> bool {
    let Meta::List(list) = condition else { return condition.path().is_ident("test") };
    let parser = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
    let Ok(parts) = list.parse_args_with(parser) else { return false };
    let all = list.path.is_ident("all") && parts.iter().any(needs_test);
    all || list.path.is_ident("any") && !parts.is_empty() && parts.iter().all(needs_test)
}

/// The value of `#[path = "…"]`.
fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
