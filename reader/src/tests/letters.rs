//! No wrong letters without a word, and a second engine where the first finds none.

use super::{pdf, text};
use crate::{Format, Pages, TextError};

fn read(content: &str, font: &str) -> Result<Pages, TextError> {
    let objects = format!("10 0 obj{font}endobj");
    text(&pdf(content, "/MediaBox[0 0 600 100]", "", &objects), Format::Pdf)
}

const NO_MAP: &str = "<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/Identity-H/DescendantFonts[<<\
    /Type/Font/Subtype/CIDFontType2/BaseFont/X/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)\
    /Supplement 0>>/DW 500>>]>>";

#[test]
fn a_page_without_meaning_is_named() {
    // Mostly without meaning: nothing of it is of use.
    let content = "BT /G 9 Tf 10 50 Td <00010002000300040005000600070008> Tj ET";
    match read(content, NO_MAP) {
        Err(TextError::Unreadable(why)) => assert!(why.contains("known meaning"), "{why}"),
        other => panic!("{other:?}"),
    }
    // A part: what can be read is kept, and the page is named.
    let content = "BT /F 9 Tf 10 80 Td (Invoice number one hundred and four) Tj \
        /G 9 Tf 0 -20 Td <000100020003000400050006> Tj ET";
    let pages = read(content, NO_MAP).unwrap();
    let page = &pages.pages[0];
    assert!(page.text.contains("Invoice number") && pages.are_incomplete(), "{page:?}");
    assert!(page.error.as_ref().unwrap().contains("6 of its 36 characters"), "{page:?}");
}

#[test]
fn drawn_letters_without_names_are_no_letters() {
    let glyph = "20 0 obj<</Length 24>>stream\n500 0 0 0 400 700 d1 f  \nendstream endobj";
    let font = |names: &str| {
        format!(
            "<</Type/Font/Subtype/Type3/FontBBox[0 0 500 700]/FontMatrix[.001 0 0 .001 0 0]\
            /FirstChar 65/LastChar 67/Widths[500 500 500]/Encoding<</Differences[65{names}]>>\
            /CharProcs<<{}>>>>",
            names.replace('/', " 20 0 R/").trim_start_matches(" 20 0 R").to_owned() + " 20 0 R"
        )
    };
    let content = "BT /G 9 Tf 10 50 Td (ABCABCABC) Tj ET";
    let read = |names: &str| {
        let objects = format!("10 0 obj{}endobj {glyph}", font(names));
        text(&pdf(content, "/MediaBox[0 0 600 100]", "", &objects), Format::Pdf)
    };
    assert_eq!(read("/one/two/three").unwrap().pages[0].text.trim(), "123123123");
    match read("/g1/g2/g3") {
        Err(TextError::Unreadable(why)) => assert!(why.contains("known meaning"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_map_that_shifts_letters_is_noticed() {
    let prose = "Please transfer this amount without deduction into account number named below \
        within thirty days after receipt always stating that invoice number given above thank you \
        very much for your order which will be delivered before Christmas unless somebody \
        prevents that";
    let prose = format!("{prose}, and {prose}");
    let lines = prose.as_bytes().chunks(80).map(|line| String::from_utf8_lossy(line).into_owned());
    let lines: String = lines.map(|line| format!("({line}) Tj T* ")).collect();
    let content = format!("BT /G 9 Tf 11 TL 10 180 Td {lines} ET");
    let read = |shift: u8| {
        // Beginning with the letter that follows by `shift`, all small letters in a row.
        let first = b'a' + shift;
        let map = format!("1 beginbfrange <61> <7a> <{first:04x}> endbfrange");
        let map = format!(
            "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n\
            1 begincodespacerange <00> <ff> endcodespacerange\n{map}\n\
            2 beginbfrange <20> <40> <0020> <41> <5a> <0041> endbfrange\nendcmap end end"
        );
        let objects = format!(
            "10 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 20 0 R>>endobj \
            20 0 obj<</Length {}>>stream\n{map}\nendstream endobj",
            map.len()
        );
        text(&pdf(&content, "/MediaBox[0 0 600 200]", "", &objects), Format::Pdf)
    };
    assert!(read(0).unwrap().pages[0].text.contains("transfer this amount"));
    match read(3) {
        Err(TextError::Unreadable(why)) => assert!(why.contains("form no words"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_blank_after_the_word_stream_is_skipped() {
    let bytes = pdf("BT /F 9 Tf 10 50 Td (Report) Tj ET", "/MediaBox[0 0 100 100]", "", "");
    let text_of = |bytes: &[u8]| text(bytes, Format::Pdf).unwrap().pages[0].text.clone();
    assert_eq!(text_of(&bytes), "Report\n");
    let bytes = String::from_utf8(bytes).unwrap();
    for blanks in ["stream \n", "stream  \r\n"] {
        assert_eq!(text_of(bytes.replacen("stream\n", blanks, 1).as_bytes()), "Report\n");
    }
}
