//! Forms show their values, and documents that are only a cover say so.

use super::{pdf, taken, text};
use crate::{FormValue, Format, Origin, Page, TextError};

const FORM: &str = "/AcroForm<</Fields[20 0 R 21 0 R 22 0 R 23 0 R 24 0 R 25 0 R 26 0 R]>>";

fn read(labels: &str, objects: &str) -> Page {
    let content = format!("BT /F 10 Tf 12 TL 10 170 Td {labels} ET");
    let annotations = "/Annots[20 0 R 21 0 R null 22 0 R 23 0 R 24 0 R 25 0 R 26 0 R]";
    let entries = format!("/MediaBox[0 0 200 200]{annotations}");
    text(&pdf(&content, &entries, FORM, objects), Format::Pdf).unwrap().pages.remove(0)
}

#[test]
fn values_without_an_appearance_stand_beside_their_labels() {
    let page = read(
        "(Name) Tj T* (Country) Tj T* (Secret) Tj T* (Unseen) Tj T* (Part) Tj",
        "20 0 obj<</Subtype/Widget/FT/Tx/Rect[80 167 180 179]/V<FEFF00C400730061>>>endobj \
        21 0 obj<</Subtype/Widget/FT/Ch/Rect[80 155 180 167]/V(de)/Opt[[(fr)(France)][(de)(Germany)]]>>endobj \
        22 0 obj<</Subtype/Widget/FT/Tx/Ff 8192/Rect[80 143 180 155]/V(hunter2)>>endobj \
        23 0 obj<</Subtype/Widget/FT/Tx/F 2/Rect[80 131 180 143]/V(nobody)>>endobj \
        24 0 obj<</Subtype/Widget/Parent 30 0 R/Rect[80 119 180 131]>>endobj \
        30 0 obj<</FT/Tx/V(inherited)/Kids[24 0 R]>>endobj \
        25 0 obj<</Subtype/Widget/FT/Tx/Rect[80 20 180 50]/V(two\\rlines)>>endobj",
    );
    let rows: Vec<&str> = page.text.lines().filter(|row| !row.is_empty()).collect();
    let expected =
        ["Name   Äsa", "Country   Germany", "Secret", "Unseen", "Part   inherited", "two", "lines"];
    assert_eq!(rows, expected);
    let value = page.words.iter().find(|word| word.origin == Origin::Form).unwrap();
    let [left, bottom, right, top] = value.bounds;
    assert!(left >= 80.0 && right <= 180.0 && bottom > 165.0 && top < 181.0, "{value:?}");
}

#[test]
fn ticks_and_choices_are_told() {
    let box_of = |number: u8, y: u8, entries: &str| {
        format!("{number} 0 obj<</Subtype/Widget/Rect[80 {y} 90 {}]{entries}>>endobj ", y + 10)
    };
    let drawn = "/AP<</N<</Yes 40 0 R/Off 41 0 R>>>>";
    let objects = [
        box_of(20, 168, &format!("/FT/Btn/AS/Yes/V/Yes{drawn}")),
        box_of(21, 156, &format!("/FT/Btn/AS/Off/V/Off{drawn}")),
        // Two of a group, of which neither says what it shows: the value of the group tells.
        box_of(22, 144, "/Parent 30 0 R/AP<</N<</one 40 0 R>>>>"),
        box_of(23, 132, "/Parent 30 0 R/AP<</N<</two 40 0 R>>>>"),
        box_of(24, 120, "/FT/Btn/Ff 65536"),
        "30 0 obj<</FT/Btn/Ff 32768/V/two/Kids[22 0 R 23 0 R]>>endobj ".to_owned(),
        // A cross out of a font, as programs draw it.
        "40 0 obj<</Subtype/Form/BBox[0 0 10 10]/Length 29/Resources<</Font<</Z<</Type/Font\
         /Subtype/Type1/BaseFont/ZapfDingbats>>>>>>>>stream\nBT /Z 9 Tf 1 2 Td (8) Tj ET  \n\
         endstream endobj 41 0 obj<</Subtype/Form/BBox[0 0 10 10]/Length 1>>stream\n \nendstream endobj "
            .to_owned(),
    ];
    let labels = "(Car) Tj T* (Boat) Tj T* (One) Tj T* (Two) Tj T* (Send) Tj";
    let page = read(labels, &objects.concat());
    assert_eq!(page.text, "Car   [x]\nBoat   [ ]\nOne   [ ]\nTwo   [x]\nSend\n");
}

#[test]
fn fields_are_told_with_their_names_and_what_is_filled_in() {
    let page = read(
        "(Name) Tj",
        "20 0 obj<</Subtype/Widget/FT/Tx/T(name)/TU(Your name)/Parent 30 0 R/Rect[80 167 180 179]/V( Ann )>>endobj \
        30 0 obj<</T(applicant)/Kids[20 0 R]>>endobj \
        21 0 obj<</Subtype/Widget/FT/Btn/T(car)/AS/Off/Rect[80 155 90 165]>>endobj \
        22 0 obj<</Subtype/Widget/Parent 31 0 R/AS/Off/Rect[80 143 90 153]>>endobj \
        23 0 obj<</Subtype/Widget/Parent 31 0 R/AS/monthly/Rect[80 131 90 141]>>endobj \
        31 0 obj<</FT/Btn/Ff 32768/T(rate)/V/monthly/Kids[22 0 R 23 0 R]>>endobj \
        24 0 obj<</Subtype/Widget/FT/Tx/T(empty)/Rect[80 119 180 129]>>endobj \
        25 0 obj<</Subtype/Widget/FT/Tx/T(unseen)/F 2/V(x)/Rect[80 107 180 117]>>endobj \
        26 0 obj<</Subtype/Widget/FT/Tx/V(nameless)/Rect[80 95 180 105]>>endobj",
    );
    let fields: Vec<_> = page.fields.iter().map(|f| (f.name.as_str(), &f.value)).collect();
    let (name, rate) = (FormValue::Text("Ann".into()), FormValue::Text("monthly".into()));
    let expected = [("applicant.name", &name), ("car", &FormValue::Ticked(false)), ("rate", &rate)];
    assert_eq!(fields, expected);
    assert_eq!(page.fields[0].label, "Your name");
    assert_eq!(page.fields[0].bounds, [80.0, 167.0, 180.0, 179.0]);
}

#[test]
fn a_value_that_is_drawn_is_read_once() {
    let page = read(
        "(Name) Tj T* (Town) Tj",
        "20 0 obj<</Subtype/Widget/FT/Tx/Rect[80 167 180 179]/V(Ann Lee)/AP<</N 40 0 R>>>>endobj \
        40 0 obj<</Subtype/Form/BBox[0 0 100 12]/Length 36/Resources<</Font<</H<</Type/Font\
        /Subtype/Type1/BaseFont/Helvetica>>>>>>>>stream\nBT /H 10 Tf 2 3 Td (Ann Lee) Tj ET   \nendstream endobj",
    );
    assert_eq!(page.text, "Name   Ann Lee\nTown\n");
    assert!(page.words.iter().any(|word| word.origin == Origin::Form), "{page:?}");
}

#[test]
fn a_cover_is_no_document() {
    let refused = |catalog: &str, objects: &str| {
        let content = "BT /F 9 Tf 10 50 Td (Please wait...) Tj ET";
        text(&pdf(content, "/MediaBox[0 0 100 100]", catalog, objects), Format::Pdf)
    };
    let check = |catalog: &str, objects: &str, expected: &str| match refused(catalog, objects) {
        Err(TextError::Unsupported(why)) => assert!(why.contains(expected), "{why}"),
        other => panic!("{other:?}"),
    };
    let files = "20 0 obj<</Kids[21 0 R]>>endobj 21 0 obj<</Names[(a)22 0 R(b)23 0 R]>>endobj \
        22 0 obj<</F(one.pdf)/EF<</F 24 0 R>>>>endobj 23 0 obj<</F(x)/UF<FEFF00E4002E007000640066>>>\
        endobj 24 0 obj<</Length 5>>stream\none 1\nendstream endobj";
    let portfolio = "/Collection<</View/D>>/Names<</EmbeddedFiles 20 0 R>>";
    let names = |pages: &crate::Pages| -> Vec<String> {
        pages.members.iter().map(|member| member.name.clone()).collect()
    };
    let cover = refused(portfolio, files).unwrap();
    assert_eq!((cover.is_cover, names(&cover)), (true, vec!["one.pdf".into(), "ä.pdf".into()]));
    let bytes = pdf("", "/MediaBox[0 0 100 100]", portfolio, files);
    assert_eq!(taken(&bytes, Format::Pdf, 0).unwrap(), b"one 1");
    // The other has no stream.
    assert!(matches!(taken(&bytes, Format::Pdf, 1), Err(TextError::Unreadable(_))));
    check(
        "/AcroForm<</Fields[]/XFA[(template)20 0 R]>>/NeedsRendering true",
        "",
        "print it to a PDF",
    );
    // Attachments alone make no cover, nor does a portfolio without any.
    let attached = refused("/Names<</EmbeddedFiles 20 0 R>>", files).unwrap();
    assert!(!attached.is_cover && attached.members == cover.members, "{attached:?}");
    assert!(!refused("/Collection<</View/D>>", "").unwrap().is_cover);
    // What says the same in another form is no document of its own.
    let same = files.replace("/F(one.pdf)", "/F(any.xml)/AFRelationship/Alternative");
    let same = same.replace("/F(x)/UF<FEFF00E4002E007000640066>", "/F(factur-x.xml)");
    let invoice = refused(portfolio, &same).unwrap();
    assert!(!invoice.is_cover && invoice.members.is_empty(), "{invoice:?}");
    assert!(invoice.warnings[0].ends_with("any.xml, factur-x.xml"), "{invoice:?}");
    // A form with XFA whose fields are on its pages shows them in any viewer.
    let widget = "20 0 obj<</Subtype/Widget/FT/Tx/Rect[10 10 90 20]/V(here)>>endobj";
    let page = "/MediaBox[0 0 100 100]/Annots[20 0 R]";
    let form = "/AcroForm<</Fields[20 0 R]/XFA[(template)20 0 R]>>";
    let pages = text(&pdf("", page, form, widget), Format::Pdf).unwrap();
    assert_eq!(pages.pages[0].text.trim(), "here");
}
