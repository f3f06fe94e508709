//! The text of a file, read as a worker reads it.

use crate::{end::End, password::PasswordSource};
use bytes::Bytes;
use clap::Args;
use reader::{FileType, Format, Page, Pages, SIDE_MAX, TextReader};
use shared::config::{Config, Secret};
use std::{
    io::{BufWriter, Write},
    path::PathBuf,
};

#[derive(Debug, Args)]
pub(crate) struct Text {
    /// The file
    file: PathBuf,
    /// Only this page; may be given several times
    #[arg(long = "page", value_name = "N")]
    pages: Vec<u32>,
    /// One word a line: page, left, bottom, right, top in points, where it comes from, and the word
    #[arg(long)]
    boxes: bool,
    /// All that is known, as JSON
    #[arg(long, conflicts_with = "boxes")]
    json: bool,
    /// Write the image of a page to a file, as PNG, and show no text
    #[arg(long, num_args = 2, value_names = ["PAGE", "PNG"], conflicts_with_all = ["boxes", "json", "pages"])]
    image: Option<Vec<String>>,
    /// What a PDF opens with; others of this machine may see it: better are the next two
    #[arg(long, value_parser = secret, conflicts_with_all = ["password_file", "password_env"])]
    password: Option<Secret>,
    #[command(flatten)]
    password_source: PasswordSource,
}

/// Never shown, not even where it is in the way.
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

pub(crate) async fn run(text: Text, config: &Config) -> Result<(), End> {
    let name = text.file.display().to_string();
    let bytes =
        std::fs::read(&text.file).map_err(|error| End::Usage(format!("{name}: {error}")))?;
    let head = bytes.get(..Format::SNIFF_BYTES).unwrap_or(&bytes);
    let unknown = || End::Usage(format!("{name}: it is of no format that is read"));
    let file_type = FileType::sniff(head, &name, None).ok_or_else(unknown)?;
    let reader = worker::text_reader(config)?;
    let bytes = Bytes::from(bytes);
    if let Some([page, to]) = text.image.as_deref() {
        return image(&reader, &name, (&bytes, file_type), page, to).await;
    }
    let password =
        text.password.map_or_else(|| text.password_source.read(), |own| Ok(Some(own)))?;
    let password = password.as_ref().map(Secret::expose).unwrap_or_default();
    let read = reader.read_locked(&bytes, file_type, password).await;
    let mut pages = read.map_err(|error| End::Failed(format!("{name}: {error}")))?;
    let last = pages.pages.len();
    if let Some(page) = text.pages.iter().find(|page| **page == 0 || **page as usize > last) {
        return Err(End::Usage(format!("{name}: there is no page {page}, it has {last}")));
    }
    pages.pages.retain(|page| text.pages.is_empty() || text.pages.contains(&page.number));
    let mut out = BufWriter::new(std::io::stdout());
    match (text.json, text.boxes) {
        (true, _) => {
            let json = serde_json::to_string_pretty(&pages).map_err(anyhow::Error::from)?;
            writeln!(out, "{json}")?;
        }
        (false, true) => boxes(&pages, &mut out)?,
        (false, false) => rows(&pages, &mut out)?,
    }
    out.flush()?;
    for page in &pages.pages {
        if let Some(error) = &page.error {
            note(&format!("page {}: {error}", page.number));
        }
    }
    pages.warnings.iter().for_each(|warning| note(warning));
    for member in &pages.members {
        note(&format!("it carries {}: a document of its own", member.name));
    }
    Ok(())
}

/// Writes the image of a page to a file.
async fn image(
    reader: &TextReader,
    name: &str,
    (bytes, file_type): (&Bytes, FileType),
    page: &str,
    to: &str,
) -> Result<(), End> {
    let usage = || End::Usage(format!("--image: {page} is no number of a page, as 1 is"));
    let page: u32 = page.parse().map_err(|_| usage())?;
    let image = reader.image(bytes, file_type, page, SIDE_MAX).await;
    let image = image.map_err(|error| End::Failed(format!("{name}: {error}")))?;
    std::fs::write(to, &image.png).map_err(|error| End::Usage(format!("{to}: {error}")))
}

/// Pages as they are, with a form feed between them, as `pdftotext` does.
fn rows(pages: &Pages, out: &mut impl Write) -> std::io::Result<()> {
    for (index, page) in pages.pages.iter().enumerate() {
        let feed = if index == 0 { "" } else { "\u{c}" };
        writeln!(out, "{feed}{}", page.text.trim_end_matches('\n'))?;
    }
    Ok(())
}

fn boxes(pages: &Pages, out: &mut impl Write) -> std::io::Result<()> {
    let words =
        pages.pages.iter().flat_map(|page: &Page| page.words.iter().map(move |word| (page, word)));
    for (page, word) in words {
        let text = page.text.get(word.start as usize..word.end as usize).unwrap_or_default();
        let [left, bottom, right, top] = word.bounds;
        let origin = serde_json::to_value(word.origin).unwrap_or_default();
        let origin = origin.as_str().unwrap_or_default();
        let number = page.number;
        writeln!(out, "{number}\t{left:.1}\t{bottom:.1}\t{right:.1}\t{top:.1}\t{origin}\t{text}")?;
    }
    Ok(())
}

fn note(text: &str) {
    // Who closes stderr does not want to know.
    let _ = writeln!(std::io::stderr(), "sluice: {text}");
}
