//! HTML: what a reader would see of it.
//!
//! It must know nothing of other formats.

use crate::{limits::TextError, pages::Pages, plain};
use html2text::{Element, Handle, config};

/// Part of replay keys: change it whenever the same bytes give other pages.
const ENGINE: &str = "html-1";

/// Characters in a line at most. Wide, so that the rows of tables stay on one line each.
const WIDTH: usize = 240;

/// Elements that are never shown.
const UNSEEN: [&str; 8] =
    ["script", "style", "template", "noscript", "iframe", "object", "head", "dialog"];

/// What a style attribute says of an element that is not shown, without spaces.
const UNSEEN_STYLES: [&str; 4] = ["display:none", "visibility:hidden", "font-size:0", "opacity:0;"];

/// The visible text, on one page.
pub(super) fn read(bytes: &[u8]) -> Result<Pages, TextError> {
    let html = plain::decode(bytes)?;
    let broken = |error: html2text::Error| TextError::Unreadable(format!("its HTML: {error}"));
    let decorator = html2text::render::TrivialDecorator::new();
    let config = config::with_decorator(decorator).no_table_borders().allow_width_overflow();
    let dom = config.parse_html(html.as_bytes()).map_err(broken)?;
    remove_unseen(&dom.document);
    let tree = config.dom_to_render_tree(&dom).map_err(broken)?;
    let text = config.render_to_string(tree, WIDTH).map_err(broken)?;
    Ok(plain::of_texts(ENGINE, [tidy(&text)]))
}

/// Takes out of the tree what is not shown. By a stack of its own, for a tree may be deep.
fn remove_unseen(root: &Handle) {
    let mut open = vec![root.clone()];
    while let Some(node) = open.pop() {
        let mut children = node.children.borrow_mut();
        children.retain(|child| !is_unseen(child));
        open.extend(children.iter().cloned());
    }
}

fn is_unseen(node: &Handle) -> bool {
    let Element { name, attrs, .. } = &node.data else { return false };
    if UNSEEN.contains(&&*name.local) {
        return true;
    }
    attrs.borrow().iter().any(|attribute| match &*attribute.name.local {
        "hidden" => true,
        "style" => {
            let style: String = attribute.value.chars().filter(|c| !c.is_whitespace()).collect();
            let style = style.to_ascii_lowercase() + ";";
            UNSEEN_STYLES.iter().any(|unseen| style.contains(unseen))
                && !style.contains("font-size:0.")
        }
        _ => false,
    })
}

/// Without spaces at the ends of lines, and with at most one empty line in a row.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for line in text.lines().map(str::trim_end) {
        if !line.is_empty() || !tidy.ends_with("\n\n") {
            tidy.push_str(line);
            tidy.push('\n');
        }
    }
    tidy.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_is_read() {
        let check = |html: &str, expected: &str| {
            assert_eq!(read(html.as_bytes()).unwrap().pages[0].text, expected);
        };
        check(
            "<!doctype html><title>T</title><h1>Invoice</h1><p>No. <b>7</b></p>",
            "Invoice\n\nNo. 7",
        );
        check("<body><script>x()</script><style>p{}</style>a<p hidden>b</p></body>", "a");
        check("<p>seen</p><div style='DISPLAY: none'>unseen <p>too</p></div>", "seen");
        check("<p><a href='https://x.test'>link</a></p>", "link");
        check(
            "<table><tr><td>Pen</td><td>2</td><td>3.00</td></tr><tr><td>Ink</td><td>1</td><td>9.50</td></tr></table>",
            "Pen 2 3.00\nInk 1 9.50",
        );
        check("", "");
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let deep = "<div>".repeat(5_000) + "core";
        let thread = std::thread::Builder::new().stack_size(64 << 20);
        let read = thread.spawn(move || read(deep.as_bytes())).unwrap().join().unwrap();
        assert_eq!(read.unwrap().pages[0].text, "core");
    }
}
