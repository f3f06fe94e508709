//! Pages that only an image shows, and files that are images.

use super::{FRUGAL, children_of_the_binary, file, hostile, page, text};
use crate::{
    Engine, Format, Limits, Origin, Page, PageImage, Pages, SIDE_MAX, Scanning, Tesseract,
    TextError, TextReader,
};
use bytes::Bytes;
use image::{DynamicImage, GenericImageView, Luma, load_from_memory};

/// OCR on this machine; without it these tests cannot say anything.
fn tesseract() -> Tesseract {
    let found = Tesseract::find("tesseract", &["eng".to_owned()]);
    found.unwrap_or_else(|error| panic!("{error}; ./tests/run installs it"))
}

fn reader(tesseract: Option<Tesseract>, limits: Limits) -> TextReader {
    let scanning = Scanning { tesseract, ..Scanning::default() };
    TextReader::new(children_of_the_binary(), Engine::Hayro, limits, scanning).unwrap()
}

/// The text of a file of `fixtures/scans`, by OCR.
async fn scanned(name: &str, format: Format) -> Pages {
    let bytes = Bytes::from(file(&format!("fixtures/scans/{name}")));
    let read = reader(Some(tesseract()), Limits::default()).read(&bytes, format.into()).await;
    read.unwrap_or_else(|error| panic!("{name}: {error}"))
}

async fn image(bytes: &[u8], format: Format, number: u32) -> Result<PageImage, TextError> {
    let reader = reader(None, Limits::default());
    reader.image(&Bytes::copy_from_slice(bytes), format.into(), number, SIDE_MAX).await
}

fn pixels(image: &PageImage) -> DynamicImage {
    load_from_memory(&image.png).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_drawn_as_it_is_shown() {
    // A black square in the lower left quarter of a page of 100 by 100 points.
    let drawn = image(&page("0 0 50 50 re f"), Format::Pdf, 1).await.unwrap();
    assert_eq!((drawn.width, drawn.height, drawn.is_blank), (277, 277, false));
    let shade = |x, y| pixels(&drawn).to_luma8().get_pixel(x, y).0[0];
    assert_eq!([shade(20, 250), shade(250, 250), shade(20, 20)], [0, 255, 255]);
    assert!(image(&page(""), Format::Pdf, 1).await.unwrap().is_blank);
    for number in [0, 2] {
        let end = image(&page(""), Format::Pdf, number).await;
        assert_eq!(end, Err(TextError::Unreadable(format!("there is no page {number}"))));
    }
    let end = image(b"some text", Format::Text, 1).await;
    assert!(matches!(end, Err(TextError::Unsupported(_))), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_is_read_row_by_row_with_the_places_of_its_words() {
    for (name, format) in [("scanned.pdf", Format::Pdf), ("scanned.tif", Format::Tiff)] {
        let pages = scanned(name, format).await;
        assert!(pages.engine.contains("+tesseract-"), "{}", pages.engine);
        let [front, back, last] = &pages.pages[..] else { panic!("{name}: {pages:?}") };
        // The sheet was scanned askew.
        let row = front.text.lines().find(|line| line.contains("Harbor Light Foods")).unwrap();
        assert!(row.contains("03/14/2024"), "{name}: {row}");
        assert!(last.text.contains("Gutschrift") || last.text.contains("GUTSCHRIFT"), "{last:?}");
        // An empty back page is no loss.
        assert_eq!((back.text.as_str(), back.is_picture, &back.error), ("", false, &None));
        assert!(pages.warnings.iter().any(|said| said.contains("read by OCR")), "{pages:?}");
        assert_places(front);
    }
}

/// The words stand where the same words stand in the document that was scanned.
fn assert_places(scanned: &Page) {
    let original = text(&file("fixtures/documents/invoice-en-classic.pdf"), Format::Pdf).unwrap();
    let original = &original.pages[0];
    let middle = |page: &Page, word: &str| {
        let said = |at: &&crate::Word| &page.text[at.start as usize..at.end as usize] == word;
        let at = page.words.iter().find(said).unwrap_or_else(|| panic!("{word}: {}", page.text));
        let [left, bottom, right, top] = at.bounds;
        ([(left + right) / 2.0 / page.width, (bottom + top) / 2.0 / page.height], at.origin)
    };
    for word in ["INV-2024-0117", "Harbor", "03/14/2024"] {
        let (at, origin) = middle(scanned, word);
        let (was, _) = middle(original, word);
        assert_eq!(origin, Origin::Ocr);
        // It was turned by 1.2 degrees about its middle.
        let off = (at[0] - was[0]).abs().max((at[1] - was[1]).abs());
        assert!(off < 0.025, "{word}: {at:?} {was:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_read_however_they_were_made() {
    for (name, format) in [
        ("cmyk.jpg", Format::Jpeg),
        ("phone.jpg", Format::Jpeg),
        ("transparent.png", Format::Png),
        ("moving.webp", Format::Webp),
    ] {
        let pages = scanned(name, format).await;
        assert_eq!(pages.pages.len(), 1);
        let page = &pages.pages[0];
        for words in ["Brightwater Media", "INV-2024-0117", "Due date"] {
            assert!(page.text.contains(words), "{name}: {words}: {}", page.text);
        }
        // Wider than high, upright as its camera meant it.
        assert!(page.width == 842.0 && page.height < 400.0, "{name}: {page:?}");
        let is_animated = pages.warnings.iter().any(|said| said.contains("only its first image"));
        assert_eq!(is_animated, name == "moving.webp");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ocr_an_image_is_a_page_that_was_not_read() {
    let bytes = Bytes::from(file("fixtures/scans/scanned.tif"));
    let pages = reader(None, Limits::default()).read(&bytes, Format::Tiff.into()).await.unwrap();
    assert_eq!(pages.without_text(), [1, 2, 3]);
    assert!(pages.are_incomplete() && pages.pages.iter().all(Page::is_unread));
}

/// What somebody may upload who means no good, or whose upload broke off.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_read_says_why() {
    let scan = |name: &str| file(&format!("fixtures/scans/{name}"));
    let cut = |name: &str| {
        let whole = scan(name);
        whole[..whole.len() * 2 / 3].to_vec()
    };
    // The head of a PNG that would have 60,000 by 60,000 pixels.
    let mut bomb = scan("transparent.png");
    bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let sum = crc(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());
    // A TIFF whose second directory is its first.
    let mut ring = scan("scanned.tif");
    let first = u32::from_le_bytes(ring[4..8].try_into().unwrap());
    let entries = u16::from_le_bytes(ring[first as usize..][..2].try_into().unwrap());
    let next = first as usize + 2 + 12 * usize::from(entries);
    ring[next..next + 4].copy_from_slice(&first.to_le_bytes());
    for (what, bytes, format, expected) in [
        ("cut", cut("cmyk.jpg"), Format::Jpeg, "ends too early"),
        ("cut", cut("transparent.png"), Format::Png, "ends too early"),
        ("cut", cut("moving.webp"), Format::Webp, "image"),
        ("only a start", b"\xff\xd8\xff".to_vec(), Format::Jpeg, "image"),
        ("only a start", b"II*\0\x08\0\0\0".to_vec(), Format::Tiff, "no pages"),
        ("bomb", bomb, Format::Png, "more than 64000000 pixels"),
        ("palette", scan("palette.tif"), Format::Tiff, "save it as PNG, JPEG or PDF"),
        ("ring", ring, Format::Tiff, "cycle"),
        ("another format", scan("phone.jpg"), Format::Png, "image"),
    ] {
        let bytes = Bytes::from(bytes);
        let end = reader(Some(tesseract()), Limits::default()).read(&bytes, format.into()).await;
        let end = end.expect_err(what).to_string();
        assert!(end.contains(expected), "{what} {format:?}: {end}");
    }
}

/// The checksum of a chunk of a PNG (ISO/IEC 15948, annex D).
fn crc(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)))
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ocr_may_cost_is_bounded_and_the_pages_are_named() {
    let bytes = Bytes::from(file("fixtures/scans/scanned.pdf"));
    let limits = Limits { ocr_pages_max: 1, ..Limits::default() };
    let pages = reader(Some(tesseract()), limits).read(&bytes, Format::Pdf.into()).await.unwrap();
    assert!(pages.pages[0].error.is_none(), "{pages:?}");
    assert!(pages.pages[2].error.as_ref().unwrap().contains("text.scan_pages_max"), "{pages:?}");
    // No time at all.
    let limits = Limits { ocr_seconds_max: 0, ..Limits::default() };
    let pages = reader(Some(tesseract()), limits).read(&bytes, Format::Pdf.into()).await.unwrap();
    let unread = pages.pages.iter().filter(|page| page.error.is_some()).map(|page| page.number);
    assert_eq!(unread.collect::<Vec<_>>(), [1, 3], "{pages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_page_has_no_image_and_harms_nothing() {
    let reader = reader(None, FRUGAL);
    for name in ["endless-loop", "flate-bomb", "garbage", "deep-nesting"] {
        let end = reader.image(&hostile(name), Format::Pdf.into(), 1, SIDE_MAX).await;
        assert!(!matches!(end, Err(TextError::Unavailable(_))), "{name}: {end:?}");
    }
    let good = Bytes::from(page("0 0 50 50 re f"));
    let drawn = reader.image(&good, Format::Pdf.into(), 1, SIDE_MAX).await.unwrap();
    assert_eq!(pixels(&drawn).to_luma8().get_pixel(20, 250), &Luma([0]));
    assert_eq!(pixels(&drawn).dimensions(), (277, 277));
}

/// What a program for OCR reaches that a file has taken over: it says so in the words that it reads.
#[tokio::test(flavor = "multi_thread")]
async fn the_ocr_program_reaches_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (program, secret) = (folder.path().join("ocr"), folder.path().join("secret"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let script = format!(
        r#"#!/bin/sh
case "$1" in
  --version) echo "tesseract 9.1"; exit ;;
  --list-langs) printf 'List of languages\neng\n'; exit ;;
esac
bytes=$(wc -c)
word() {{ echo "<span class='ocrx_word' title='bbox $1 10 $(($1 + 9)) 20; x_wconf 99'>$2</span>"; }}
echo "<p><span class='ocr_line' title='bbox 0 10 250 20; baseline 0 0; x_size 10'>"
word 10 "$bytes"
if x=$(cat {secret} 2>&1); then word 40 reads; else word 40 no-read; fi
if x=$(touch {secret}-2 2>&1); then word 70 writes; else word 70 no-write; fi
if x=$(bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>&1); then word 100 calls; else word 100 no-call; fi
if x=$(kill -0 {parent} 2>&1); then word 130 signals; else word 130 no-signal; fi
word 160 "[$SLUICE_TEXT_SETUP$SLUICE_OCR_SETUP$HOME]"
echo "</span></p>"
"#,
        secret = secret.display(),
        port = listener.local_addr().unwrap().port(),
        parent = std::process::id(),
    );
    std::fs::write(&secret, "key").unwrap();
    std::fs::write(&program, script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, executable).unwrap();
    let found = Tesseract::find(program.to_str().unwrap(), &[]).unwrap();
    assert_eq!(found.engine(), "tesseract-9.1");
    let bytes = Bytes::from(page("0 0 50 50 re f"));
    let read = reader(Some(found), FRUGAL).read(&bytes, Format::Pdf.into()).await.unwrap();
    let image = reader(None, FRUGAL).image(&bytes, Format::Pdf.into(), 1, SIDE_MAX).await.unwrap();
    let expected = format!("{} no-read no-write no-call no-signal []", image.png.len());
    let words = read.pages[0].text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words, expected);
}
