//! The fields of a form by their names and labels.
//!
//! It must know nothing of schemas.

use crate::extract::concept::words;
use shared::extraction::{FormField, Pages};
use std::collections::HashMap;

/// A field with the number of its page; none where several of one name say different things.
type Found<'a> = Option<(&'a FormField, u32)>;

/// The fields of a form, by the letters of their names and labels.
pub(super) struct FormIndex<'a>(HashMap<String, Found<'a>>);

impl<'a> FormIndex<'a> {
    pub(super) fn new(pages: &'a Pages) -> Self {
        let mut fields: HashMap<String, Found<'a>> = HashMap::new();
        for page in &pages.pages {
            for field in &page.fields {
                let mut keys = keys(field);
                keys.sort();
                keys.dedup();
                for key in keys.into_iter().filter(|key| !key.is_empty()) {
                    let found = fields.entry(key).or_insert(Some((field, page.number)));
                    if found.is_some_and(|(known, _)| known.value != field.value) {
                        *found = None;
                    }
                }
            }
        }
        Self(fields)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The field of a property, which is named with what it is in.
    pub(super) fn field<'p>(
        &self,
        path: impl Iterator<Item = &'p str>,
    ) -> Option<(&'a FormField, u32)> {
        self.0.get(&path.map(letters).collect::<String>()).copied().flatten()
    }
}

/// The names of a field: in full, its own, and its label. Programs number what they name (`page[0]`).
fn keys(field: &FormField) -> Vec<String> {
    let name: Vec<_> =
        field.name.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect();
    let own = name.last().copied().unwrap_or_default();
    vec![letters(&name.concat()), letters(own), letters(&field.label)]
}

/// The words of a name in small letters, whatever parts them.
fn letters(name: &str) -> String {
    words(name).concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::extraction::{FormValue, Page};

    #[test]
    fn a_field_is_found_by_its_name_in_full_its_own_or_its_label() {
        let field = |name: &str, label: &str, value: &str| FormField {
            name: name.to_owned(),
            label: label.to_owned(),
            value: FormValue::Text(value.to_owned()),
            bounds: [0.0; 4],
        };
        let fields = vec![
            field("form[0].applicant.first_name[0]", "", "Ann"),
            field("f1_02", "Date of birth:", "1990"),
            field("owncar", "", "yes"),
            field("a.zip", "", "1"),
            field("b.zip", "", "2"),
        ];
        let page = Page { number: 3, fields, ..Page::default() };
        let pages = Pages { pages: vec![page], ..Pages::default() };
        let index = FormIndex::new(&pages);
        let check = |path: &[&str], expected: Option<&str>| {
            let found = index.field(path.iter().copied());
            let value = expected.map(|value| FormValue::Text(value.to_owned()));
            assert_eq!(found.map(|(field, _)| field.value.clone()), value, "{path:?}");
            assert!(found.is_none_or(|(_, page)| page == 3));
        };
        check(&["firstName"], Some("Ann"));
        check(&["form", "applicant", "first_name"], Some("Ann"));
        check(&["date_of_birth"], Some("1990"));
        check(&["own_car"], Some("yes"));
        check(&["zip"], None);
        check(&["b", "zip"], Some("2"));
        check(&["buyer", "first_name"], None);
        check(&["name"], None);
    }
}
