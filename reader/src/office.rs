//! Documents of Word, PowerPoint and LibreOffice Writer: what is seen of them, as rows.

use super::container::Container;
use super::markup::{self, Meaning, Rows, elements};
use super::{limits::TextError, pages::Pages, plain, sheets};

/// Part of replay keys: change it whenever the same bytes give other pages.
const ENGINE: &str = "office-1";

const HIDDEN: &str = "hidden text is left out";

/// Reads what is in the archive, whatever it is called.
pub(super) fn read(bytes: &[u8], pages_max: u32) -> Result<Pages, TextError> {
    let mut container = Container::open(bytes)?;
    let names = container.names();
    let has = |name: &str| names.iter().any(|other| other == name);
    let pages = match () {
        () if has("word/document.xml") => word(&mut container, &names)?,
        () if has("ppt/presentation.xml") => slides(&mut container)?,
        () if has("xl/workbook.xml") => return sheets::read(bytes, pages_max),
        () if has("content.xml") => writer(&mut container)?,
        () => {
            let what =
                "it is an archive, and none of a document of Word, Excel, PowerPoint or Writer";
            return Err(TextError::Unreadable(what.to_owned()));
        }
    };
    let count = u32::try_from(pages.pages.len()).unwrap_or(u32::MAX);
    match count > pages_max {
        true => Err(TextError::TooManyPages { pages: count, max: pages_max }),
        false => Ok(pages),
    }
}

fn pages(rows: Rows) -> Pages {
    let mut pages = plain::of_texts(ENGINE, rows.pages);
    if rows.has_hidden {
        pages.warnings.push(HIDDEN.to_owned());
    }
    pages
}

/// ECMA-376 part 1, WordprocessingML.
fn of_word(name: &str) -> Meaning {
    match name {
        "t" => Meaning::Text,
        "p" => Meaning::Paragraph,
        "r" => Meaning::Run,
        "vanish" | "webHidden" => Meaning::Hidden,
        "tr" => Meaning::Row,
        "tc" => Meaning::Cell,
        "tab" | "ptab" => Meaning::Tab,
        "cr" => Meaning::Break,
        "br" => Meaning::PageBreakIf("type", "page"),
        "lastRenderedPageBreak" => Meaning::PageSeen,
        "noBreakHyphen" => Meaning::Char('-'),
        // Settings, where tabulators are positions; what was deleted; what is there twice.
        "pPr" | "del" | "moveFrom" | "instrText" | "Fallback" | "sdtPr" => Meaning::Unseen,
        _ => Meaning::Nothing,
    }
}

/// Heads before the text, feet and notes after it.
fn word(container: &mut Container<'_>, names: &[String]) -> Result<Pages, TextError> {
    let mut body = part(container, "word/document.xml", of_word)?;
    let named = |start: &str| {
        let of_part = |name: &&String| name.starts_with(start) && name.ends_with(".xml");
        let mut names: Vec<&String> = names.iter().filter(of_part).collect();
        names.sort_unstable();
        names
    };
    let mut told: Vec<String> = Vec::new();
    for (start, is_before) in [
        ("word/header", true),
        ("word/footer", false),
        ("word/footnotes", false),
        ("word/endnotes", false),
    ] {
        for name in named(start) {
            let rows = part(container, name, of_word)?;
            body.has_hidden |= rows.has_hidden;
            let text = rows.pages.concat();
            // The first page and the others often have the same.
            if text.trim().is_empty() || told.contains(&text) {
                continue;
            }
            match (is_before, body.pages.first_mut()) {
                (true, Some(first)) => first.insert_str(0, &text),
                _ => body.pages.last_mut().into_iter().for_each(|last| last.push_str(&text)),
            }
            told.push(text);
        }
    }
    Ok(pages(body))
}

/// ECMA-376 part 1, DrawingML.
fn of_slide(name: &str) -> Meaning {
    match name {
        "t" => Meaning::Text,
        "p" => Meaning::Paragraph,
        "tr" => Meaning::Row,
        "tc" => Meaning::Cell,
        "tab" => Meaning::Tab,
        "br" => Meaning::Break,
        "pPr" | "Fallback" => Meaning::Unseen,
        _ => Meaning::Nothing,
    }
}

/// A page for each slide, in the order in which they are shown.
fn slides(container: &mut Container<'_>) -> Result<Pages, TextError> {
    let presentation = container.text("ppt/presentation.xml")?.unwrap_or_default();
    let relations = container.text("ppt/_rels/presentation.xml.rels")?.unwrap_or_default();
    let targets = elements(&relations, "Relationship", ["Id", "Target"])?;
    let mut rows = Rows::default();
    // `r:id` comes after `id`, which is a number of its own.
    for [relation] in elements(&presentation, "sldId", ["r:id"])? {
        let target = targets.iter().find(|[id, _]| *id == relation).map(|[_, target]| target);
        let Some(target) = target else { continue };
        let name = target.strip_prefix('/').map_or_else(|| format!("ppt/{target}"), str::to_owned);
        let Some(xml) = container.text(&name)? else { continue };
        // A slide that is not shown.
        let is_hidden =
            matches!(elements(&xml, "sld", ["show"])?.first(), Some([show]) if show == "0");
        let slide = markup::read(&xml, of_slide)?;
        rows.has_hidden |= is_hidden;
        rows.pages.push(if is_hidden { String::new() } else { slide.pages.concat() });
    }
    Ok(pages(rows))
}

/// OpenDocument 1.3, text.
fn of_writer(name: &str) -> Meaning {
    match name {
        // All that is in a paragraph is text.
        "p" | "h" => Meaning::TextParagraph,
        "table-row" => Meaning::Row,
        "table-cell" => Meaning::Cell,
        "tab" => Meaning::Tab,
        "s" => Meaning::Spaces("c"),
        "line-break" => Meaning::Break,
        "soft-page-break" => Meaning::PageSeen,
        "tracked-changes" | "annotation" | "sequence-decls" | "forms" | "hidden-text" => {
            Meaning::Unseen
        }
        _ => Meaning::Nothing,
    }
}

fn writer(container: &mut Container<'_>) -> Result<Pages, TextError> {
    if let Some(manifest) = container.text("META-INF/manifest.xml")?
        && !elements(&manifest, "encryption-data", ["checksum"])?.is_empty()
    {
        return Err(TextError::PasswordRequired);
    }
    Ok(pages(part(container, "content.xml", of_writer)?))
}

fn part(
    container: &mut Container<'_>,
    name: &str,
    meaning: impl Fn(&str) -> Meaning,
) -> Result<Rows, TextError> {
    markup::read(&container.text(name)?.unwrap_or_default(), meaning)
}
