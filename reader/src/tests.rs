//! What reading promises, on real and on hostile files.

mod attached;
mod form;
mod letters;
mod place;
mod scan;
mod seen;

use crate::{
    Children, Engine, Format, Limits, Pages, Scanning, TextError, TextReader,
    child::{Head, Job, Reply, SETUP, Setup, member, read},
    sandbox::Confinement,
};
use bytes::Bytes;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

fn text(bytes: &[u8], format: Format) -> Result<Pages, TextError> {
    text_with(bytes, format, Engine::Hayro)
}

fn text_with(bytes: &[u8], format: Format, engine: Engine) -> Result<Pages, TextError> {
    read(&head(format, engine), bytes, &Limits::default()).map(|reply| match reply {
        Reply::Pages(pages) => pages,
        Reply::Image(image) => panic!("{image:?}"),
    })
}

fn head(format: Format, engine: Engine) -> Head {
    Head { file_type: format.into(), engine, bytes: 0, job: Job::Text, password: String::new() }
}

fn file(path: &str) -> Vec<u8> {
    let path = root().join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn html_is_what_a_browser_shows() {
    let html = "<html><head><style>p{}</style><script>alert(1)</script></head><body>\
        <h1>Order</h1><table><tr><th>Item</th><th>Amount</th></tr>\
        <tr><td>Bolts</td><td>12.00</td></tr></table></body></html>";
    let page = text(html.as_bytes(), Format::Html).unwrap().pages.remove(0).text;
    assert!(page.contains("Order") && !page.contains("alert"), "{page}");
    let row = page.lines().find(|line| line.contains("Bolts")).unwrap();
    assert!(row.contains("12.00"), "{page}");
}

#[test]
fn the_visible_is_read_and_the_hidden_counted() {
    let pages = text(&file("fixtures/hostile/hidden-text.pdf"), Format::Pdf).unwrap();
    let text = &pages.pages[0].text;
    assert_eq!(text.matches("VISIBLE").count(), 3, "{text}");
    assert!(!text.contains("HIDDEN"), "{text}");
    // Blanks are not counted.
    let hidden = "HIDDENmodethree HIDDENwhiteonpaper HIDDENtiny HIDDENoffpage HIDDENabovepage \
        HIDDENtransparent HIDDENoutoftheclip HIDDENblueonabluebar \
        HIDDENunderablackbar HIDDENunderawhiteline";
    let count = hidden.chars().filter(|c| !c.is_whitespace()).count();
    assert_eq!(pages.warnings, [format!("page 1: {count} hidden characters were left out")]);
}

/// A PDF of one page, 100 points wide and high, with this content.
fn page(content: &str) -> Vec<u8> {
    pdf(content, "/MediaBox[0 0 100 100]", "", "")
}

/// A PDF of one page with this content, these entries of its page and its catalog, and more objects.
/// Fonts: `F` is Helvetica, `G` is object 10, if it is there.
fn pdf(content: &str, page: &str, catalog: &str, objects: &str) -> Vec<u8> {
    let length = content.len();
    format!(
        "%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R{catalog}>>endobj\n\
        2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
        3 0 obj<</Type/Page/Parent 2 0 R{page}/Contents 4 0 R/Resources<</Font<</G 10 0 R/F<<\
        /Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>>>\
        /ExtGState<</Half<</ca 0.5>>/Pale<</ca 0.1>>/Multiply<</BM/Multiply>>>>>>>>endobj\n\
        4 0 obj<</Length {length}>>stream\n{content}\nendstream endobj\n{objects}\n\
        trailer<</Root 1 0 R>>\n%%EOF"
    )
    .into_bytes()
}

#[test]
fn the_layer_under_a_scan_is_read() {
    let check = |side: u8, expected: &str, warning: &str| {
        let content = format!(
            "q {side} 0 0 {side} 0 0 cm BI /W 1/H 1/BPC 8/CS/G ID x EI Q \
            BT 3 Tr /F 9 Tf 10 50 Td (Total 12.00) Tj ET"
        );
        let pages = text(&page(&content), Format::Pdf).unwrap();
        assert_eq!(pages.pages[0].text.trim(), expected);
        assert!(pages.warnings[0].contains(warning), "{:?}", pages.warnings);
    };
    check(100, "Total 12.00", "invisible layer over a picture");
    check(40, "", "10 hidden characters were left out");
}

#[test]
fn a_page_that_is_a_picture_is_told_from_a_page_of_text() {
    let check = |side: u8, words: &str, expected: bool| {
        let content = format!(
            "q {side} 0 0 {side} 0 0 cm BI /W 1/H 1/BPC 8/CS/G ID x EI Q \
            BT /F 2.5 Tf 1 1 1 rg 5 50 Td ({words}) Tj ET"
        );
        let pages = text(&page(&content), Format::Pdf).unwrap();
        assert_eq!(pages.pages[0].is_picture, expected, "{side} {words}");
        assert_eq!(pages.are_incomplete(), expected);
    };
    check(100, "page 2", true);
    check(100, "a photograph of a mill with so long a caption below it", false);
    check(40, "page 2", false);
}

#[test]
fn turned_pages_and_doubled_glyphs_are_read() {
    let check = |content: &str, expected: &str| {
        let pages = text(&page(content), Format::Pdf).unwrap();
        assert_eq!(pages.pages[0].text.trim(), expected);
        assert!(pages.warnings.is_empty(), "{:?}", pages.warnings);
    };
    check("BT /F 9 Tf 0 1 -1 0 20 20 Tm (upwards it goes) Tj ET", "upwards it goes");
    check("BT /F 9 Tf -1 0 0 -1 90 20 Tm (head over) Tj ET", "head over");
    check("BT /F 9 Tf 9 50 Td (fat) Tj 0.3 0 Td (fat) Tj ET", "fat");
    check("BT 2 Tr /F 9 Tf 9 50 Td (edged) Tj ET", "edged");
}

/// The real documents and what is known of them; empty where the folder is not there.
fn documents() -> Vec<(String, Vec<u8>, Value)> {
    let folder = root().join("../shared/documents");
    let Ok(manifest) = std::fs::read(folder.join("manifest.json")) else {
        println!("SKIPPED: {} is not there", folder.display());
        return Vec::new();
    };
    let manifest: Vec<Value> = serde_json::from_slice(&manifest).unwrap();
    let entry = |entry: Value| {
        let name = entry["file"].as_str().unwrap().to_owned();
        (name.clone(), std::fs::read(folder.join(name)).unwrap(), entry["expect"].clone())
    };
    manifest.into_iter().map(entry).collect()
}

fn printed(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[test]
fn real_documents_end_as_expected() {
    for (name, bytes, expect) in documents() {
        let all = text(&bytes, Format::Pdf);
        let state = expect["state"].as_str().unwrap_or_default();
        let code = expect["failure"].as_str().or(expect["code"].as_str()).unwrap_or_default();
        let said = format!("{state} {code}");
        println!("{name}: {expect:.0} -> {:?}", all.as_ref().map(|p| (p.pages.len(), &p.warnings)));
        match &all {
            Err(error) => assert!(
                said.contains("password") && *error == TextError::PasswordRequired,
                "{name}: {error}"
            ),
            Ok(pages) => {
                let is_empty = pages.without_text().len() == pages.pages.len();
                assert_eq!(is_empty, said.contains("no_text"), "{name}: {pages:?}");
                assert!(pages.pages.iter().all(|page| page.error.is_none()), "{name}");
                assert_eq!(all, text(&bytes, Format::Pdf), "{name}: not the same twice");
            }
        }
    }
}

#[test]
fn printed_fields_stand_in_the_text() {
    let fields = [
        ("number", "invoice_number"),
        ("seller", "seller"),
        ("buyer", "buyer"),
        ("vat", "vat_id"),
        ("total", "grand_total"),
        ("net", "net_total"),
    ];
    let (mut found, mut missing) = (0, Vec::new());
    for (name, bytes, expect) in documents() {
        let Some(values) = expect["fields"].as_object() else { continue };
        let pages = text(&bytes, Format::Pdf).unwrap();
        let all = printed(&pages.pages.iter().map(|page| page.text.as_str()).collect::<String>());
        for (flag, field) in fields {
            let Some(value) = values.get(field).and_then(Value::as_str) else { continue };
            if expect["printed"][flag] != Value::Bool(true) {
                continue;
            }
            if all.contains(&printed(value)) {
                found += 1;
            } else {
                missing.push(format!("{name}: {field} {value}"));
            }
        }
    }
    println!("{found} printed fields found, missing: {missing:#?}");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn both_engines_read_the_same_words() {
    for (name, bytes, _) in documents() {
        if !name.starts_with("zugferd-2p1") && !name.contains("facture-fr") {
            continue;
        }
        let other = text_with(&bytes, Format::Pdf, Engine::PdfExtract).unwrap();
        let ours = text(&bytes, Format::Pdf).unwrap();
        assert_eq!(other.pages.len(), ours.pages.len());
        let words = |pages: &Pages| {
            let mut all: Vec<char> = printed(&pages.pages[0].text).chars().collect();
            all.sort_unstable();
            all.into_iter().collect::<String>()
        };
        assert_eq!(words(&ours), words(&other), "{name}");
    }
}

/// Children that are real processes: the program that `tests/run` builds beside this test.
pub(super) fn children_of_the_binary() -> Children {
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push("sluice");
    assert!(program.exists(), "{} is missing: run ./tests/run", program.display());
    Children {
        program,
        arguments: vec!["text-child".into()],
        count_max: 2,
        files_max: 20,
        memory_kept_bytes_max: 32 << 20,
        allow_unsandboxed: false,
    }
}

fn reader(engine: Engine, limits: Limits) -> TextReader {
    TextReader::new(children_of_the_binary(), engine, limits, Scanning::default()).unwrap()
}

fn hostile(name: &str) -> Bytes {
    file(&format!("fixtures/hostile/{name}.pdf")).into()
}

const FRUGAL: Limits = Limits {
    memory_bytes_max: 256 << 20,
    cpu_seconds_max: 2,
    wall: Duration::from_secs(20),
    output_bytes_max: 1 << 20,
    pages_max: 2000,
    input_bytes_max: 1 << 20,
    image_pixels_max: 1 << 20,
    image_bytes_max: 1 << 20,
    ocr_seconds_max: 20,
    ocr_pages_max: 3,
};

pub(super) async fn good(reader: &TextReader) {
    let pages = reader.read(&Bytes::from_static(b"good"), Format::Text.into()).await.unwrap();
    assert_eq!(pages.pages[0].text, "good");
}

/// What each hostile file must come to, by either engine.
fn is_right(name: &str, end: &Result<Pages, TextError>) -> bool {
    match name {
        "encrypted" => matches!(end, Err(TextError::PasswordRequired)),
        "too-many-pages" => matches!(end, Err(TextError::TooManyPages { pages: 2500, max: 2000 })),
        "garbage" | "zero-pages" | "deep-nesting" => matches!(end, Err(TextError::Unreadable(_))),
        "flate-bomb" => matches!(end, Err(TextError::LimitExceeded(why)) if why.contains("memory")),
        "endless-loop" => {
            matches!(end, Err(TextError::LimitExceeded(why)) if why.contains("processor"))
        }
        "portfolio" => {
            matches!(end, Ok(pages) if pages.is_cover && pages.members[0].name == "order.pdf")
        }
        "no-text" => matches!(end, Ok(pages) if pages.without_text() == [1]),
        "truncated" => {
            matches!(end, Ok(pages) if pages.pages[0].text.contains("Line 37 of the first page"))
        }
        _ => !matches!(end, Err(TextError::Unavailable(_))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_files_harm_nothing_else() {
    let reader = reader(Engine::Hayro, FRUGAL);
    let names = [
        "truncated",
        "garbage",
        "deep-nesting",
        "flate-bomb",
        "endless-loop",
        "zero-pages",
        "encrypted",
        "no-text",
        "hidden-text",
        "portfolio",
        "too-many-pages",
    ];
    for name in names {
        let started = Instant::now();
        let end = reader.read(&hostile(name), Format::Pdf.into()).await;
        println!("{name}: {:?} {end:?}", started.elapsed());
        assert!(is_right(name, &end), "{name}: {end:?}");
        good(&reader).await;
    }
}

/// The files of `fixtures/hostile/corpus.py`, by name; empty where there is no Python.
fn corpus() -> Vec<(String, Bytes)> {
    let folder = tempfile::tempdir().unwrap();
    let mut script = std::process::Command::new("python3");
    script.arg(root().join("fixtures/hostile/corpus.py")).arg(folder.path());
    match script.status() {
        Ok(status) => assert!(status.success(), "{status}"),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "python3: {error}");
            println!("SKIPPED: python3: {error}");
            return Vec::new();
        }
    }
    let entry = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read(entry.path()).unwrap().into())
    };
    let mut files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().flatten().map(entry).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_of_the_corpus_ends() {
    let bytes = 8 << 20;
    let limits =
        Limits { input_bytes_max: bytes, output_bytes_max: bytes, cpu_seconds_max: 1, ..FRUGAL };
    let reader = reader(Engine::Hayro, limits);
    let read = async |files: Vec<(String, Bytes)>| {
        let mut wrong = Vec::new();
        for (name, bytes) in files {
            let format = match name.rsplit('.').next() {
                Some("pdf") => Format::Pdf,
                Some("html") => Format::Html,
                Some("md") => Format::Markdown,
                _ => Format::Text,
            };
            let started = Instant::now();
            let end = reader.read(&bytes, format.into()).await;
            let brief = end.as_ref().map(|pages| (pages.pages.len(), &pages.warnings));
            println!("{:5} ms {name}: {brief:.300?}", started.elapsed().as_millis());
            let has_text = end.as_ref().is_ok_and(|pages| pages.without_text().is_empty());
            let is_outage = matches!(end, Err(TextError::Unavailable(_)));
            if is_outage || name.starts_with("read") && !has_text {
                wrong.push(name);
            }
            good(&reader).await;
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    };
    let mut files = corpus();
    let others = files.split_off(files.len() / 2);
    tokio::join!(read(files), read(others));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_engine_is_held_as_tightly() {
    let reader = reader(Engine::PdfExtract, FRUGAL);
    for name in ["truncated", "garbage", "deep-nesting", "flate-bomb", "endless-loop", "encrypted"]
    {
        let end = reader.read(&hostile(name), Format::Pdf.into()).await;
        println!("{name}: {end:?}");
        assert!(!matches!(end, Err(TextError::Unavailable(_))), "{name}: {end:?}");
        good(&reader).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_has_its_end() {
    let check = async |limits: Limits, name: &str, expected: &str| {
        let reader = reader(Engine::Hayro, limits);
        let end = reader.read(&hostile(name), Format::Pdf.into()).await.unwrap_err();
        assert!(end.to_string().contains(expected), "{end}");
        assert!(!matches!(end, TextError::Unavailable(_)));
    };
    let wall = Duration::from_millis(200);
    check(Limits { wall, ..FRUGAL }, "endless-loop", "more than 0 s of time").await;
    check(Limits { input_bytes_max: 9, ..FRUGAL }, "no-text", "9 bytes of file").await;
    check(Limits { output_bytes_max: 9, ..FRUGAL }, "hidden-text", "9 bytes of text").await;
    check(Limits { pages_max: 0, ..FRUGAL }, "no-text", "1 pages; at most 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_warm_child_fails_no_innocent_document() {
    let reader = reader(Engine::Hayro, FRUGAL);
    // More than one child serves in its life.
    for _ in 0..25 {
        good(&reader).await;
    }
    // The warm child dies of this one; only the fresh child's end is the document's fault.
    let end = reader.read(&hostile("flate-bomb"), Format::Pdf.into()).await;
    assert!(is_right("flate-bomb", &end), "{end:?}");
    good(&reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_read_kills_its_child() {
    // Children of other tests run at the same time: this number tells ours.
    let limits = Limits { cpu_seconds_max: 7_654, ..FRUGAL };
    let reader = reader(Engine::Hayro, limits);
    good(&reader).await;
    assert_eq!(children("7654"), 1);
    let endless = hostile("endless-loop");
    let read = reader.read(&endless, Format::Pdf.into());
    assert!(tokio::time::timeout(Duration::from_millis(300), read).await.is_err());
    let gone = async {
        while children("7654") > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.unwrap();
    good(&reader).await;
}

/// The number of living processes that have this in their environment.
fn children(mark: &str) -> usize {
    pids(mark).len()
}

fn pids(mark: &str) -> Vec<PathBuf> {
    let is_marked = |process: &PathBuf| {
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(mark)
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|process| process.path());
    processes.filter(is_marked).collect()
}

/// A reader of one child, which this number tells from those of other tests.
fn marked(mark: u64, change: impl FnOnce(&mut Children)) -> TextReader {
    let mut children = Children { count_max: 1, ..children_of_the_binary() };
    change(&mut children);
    TextReader::new(
        children,
        Engine::Hayro,
        Limits { cpu_seconds_max: mark, ..FRUGAL },
        Scanning::default(),
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_is_locked_in_alone() {
    let reader = marked(7_655, |_| ());
    good(&reader).await;
    let child = pids("7655").pop().unwrap();
    let status = std::fs::read_to_string(child.join("status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
    // Every thread of it.
    for thread in std::fs::read_dir(child.join("task")).unwrap().flatten() {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap();
        assert!(status.contains("Seccomp:\t2"), "{status}");
    }
    let pid = child.file_name().unwrap().to_str().unwrap();
    let stat = std::fs::read_to_string(child.join("stat")).unwrap();
    // proc(5): after the name come state, parent, process group and session.
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!(fields[1..4], [std::process::id().to_string().as_str(), pid, pid]);
    let environment = std::fs::read(child.join("environ")).unwrap();
    let variables = environment.split(|byte| *byte == 0).filter(|variable| !variable.is_empty());
    assert_eq!(variables.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_is_replaced_when_it_read_enough_or_holds_too_much() {
    let check = async |mark: u64, change: fn(&mut Children), expected: bool| {
        let reader = marked(mark, change);
        let mut seen = Vec::new();
        for _ in 0..3 {
            reader.check().await.unwrap();
            seen.extend(pids(&mark.to_string()));
            good(&reader).await;
        }
        seen.dedup();
        assert_eq!(seen.len() > 1, expected, "{seen:?}");
    };
    check(7_656, |_| (), false).await;
    check(7_657, |children| children.files_max = 1, true).await;
    check(7_658, |children| children.memory_kept_bytes_max = 4096, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_broke_a_page_ends_its_child() {
    let reader = marked(7_659, |_| ());
    good(&reader).await;
    let before = pids("7659");
    let end = reader.read(&hostile("garbage"), Format::Pdf.into()).await;
    assert!(matches!(end, Err(TextError::Unreadable(_))), "{end:?}");
    good(&reader).await;
    assert_ne!(pids("7659"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_outlives_the_thread_that_asked_for_it() {
    let reader = marked(7_660, |_| ());
    let runtime = tokio::runtime::Handle::current();
    std::thread::scope(|scope| scope.spawn(|| runtime.block_on(good(&reader))).join().unwrap());
    let before = pids("7660");
    good(&reader).await;
    assert_eq!((before.len(), pids("7660")), (1, before));
}

#[test]
fn a_child_whose_parent_is_gone_ends() {
    let children = children_of_the_binary();
    let confinement = Confinement { parent: 1, memory_bytes_max: 1 << 30, allow_missing: false };
    let setup = serde_json::to_string(&Setup { confinement, limits: FRUGAL }).unwrap();
    let mut command = std::process::Command::new(children.program);
    let output = command.args(children.arguments).env(SETUP, setup).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("is gone"), "{output:?}");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0));
}

/// A program that says it is a child, takes a file, and answers with these bytes.
fn impostor(answer: &str, then: &str) -> TextReader {
    let greeting = r"sluice 3\000\000\000\002[]";
    let script = format!("printf '{greeting}'; head -c 9 >/dev/null; printf '{answer}'; {then}");
    let children = Children {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        ..children_of_the_binary()
    };
    TextReader::new(children, Engine::Hayro, FRUGAL, Scanning::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_was_taken_over_fails_only_its_document() {
    let check = async |answer: &str, then: &str| {
        let end = impostor(answer, then).read(&Bytes::from_static(b"x"), Format::Text.into()).await;
        let is_outage = matches!(end, Err(TextError::Unavailable(_)));
        assert!(end.is_err() && !is_outage, "{answer:?}: {end:?}");
    };
    for then in ["exit 0", "exec sleep 99", "kill -9 $$", "yes"] {
        for answer in ["", r"\377\377\377\377", r"\000\000\000\002{}", r"\000\000\001\000{"] {
            if !(then == "exec sleep 99" && (answer.is_empty() || answer.ends_with('{'))) {
                check(answer, then).await;
            }
        }
        let json = r#"{"Err":{"unavailable":"wait"}}"#;
        check(&format!(r"\000\000\000\{:03o}{json}", json.len()), then).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_child_is_an_outage() {
    for program in ["/bin/true", "/bin/cat", "/nowhere/at/all"] {
        let children = Children { program: program.into(), ..children_of_the_binary() };
        let reader = TextReader::new(children, Engine::Hayro, FRUGAL, Scanning::default()).unwrap();
        let end = reader.read(&Bytes::from_static(b"good"), Format::Text.into()).await.unwrap_err();
        assert!(matches!(end, TextError::Unavailable(_)), "{end:?}");
    }
}

/// What each program's own library wrote of one invoice.
fn office(name: &str) -> Pages {
    let bytes = file(&format!("fixtures/office/{name}"));
    let format = Format::sniff(&bytes, "upload", None).expect("a format that is read");
    text(&bytes, format).unwrap()
}

#[test]
fn an_invoice_of_an_office_program_is_read_in_rows() {
    let lines = [
        "Item   Quantity   Price   Amount",
        "Green tea, 1 kg   12   18.50   222.00",
        "Teapot “Ōmi”   2   49.90   99.80",
    ];
    for (name, page, more) in [
        ("invoice.docx", 0, "Invoice number:   QL-2031"),
        ("invoice.odt", 0, "Invoice number:   QL-2031"),
        ("invoice.pptx", 0, "Quill & Lark Trading Ltd"),
    ] {
        let pages = office(name);
        let text = &pages.pages[page].text;
        for line in lines.into_iter().chain([more]) {
            assert!(text.lines().any(|other| other == line), "{name}: {line}\n{text}");
        }
    }
    let word = office("invoice.docx");
    assert!(word.pages[0].text.starts_with("Quill & Lark Trading Ltd\nInvoice\n"), "{word:?}");
    assert!(word.pages[0].text.contains("Thank you\n"), "hidden text: {word:?}");
    assert_eq!(word.warnings, ["hidden text is left out"]);
    assert!(
        word.pages[1].text.starts_with("Terms: payment within 30 days.\nIBAN DE89"),
        "{word:?}"
    );
    let slides = office("invoice.pptx");
    assert!(slides.pages[1].text.contains("Invoice date: 2026-03-09\n"), "{slides:?}");
    assert_eq!(slides.pages[2].text, "");
    assert_eq!(slides.warnings.len(), 1);
}

#[test]
fn each_sheet_that_is_shown_is_a_page() {
    let book = office("invoice.xlsx");
    let texts: Vec<&str> = book.pages.iter().map(|page| page.text.as_str()).collect();
    let [invoice, "", "Terms\nPayment within 30 days.\n"] = texts[..] else { panic!("{texts:?}") };
    let expected = "Invoice\nQuill & Lark Trading Ltd\nInvoice number   QL-2031\n\
        Invoice date   2026-03-09\nDue date   2026-04-08\nItem   Quantity   Price   Amount\n\
        Green tea, 1 kg   12   18.5   222\nTeapot “Ōmi”   2   49.9   99.8\nFreight   1   14.2   14.2\n\
        Net         336\nVAT 19 %         63.84\nTotal EUR         399.84\n";
    assert!(invoice.starts_with(expected) && invoice.trim_end().ends_with("the end"), "{invoice}");
    assert_eq!(book.warnings, ["the sheet \"Margins\" is hidden and left out"]);
}

#[test]
fn a_mail_is_read_with_what_it_carries() {
    let mail = office("invoice.eml");
    let expected = "From: Ann Ōmi <ann@example.com>\nTo: bills@example.org\n\
        Date: 2026-03-09T10:00:00+01:00\nSubject: Invoice QL-2031 – März\n";
    let text = &mail.pages[0].text;
    assert!(text.starts_with(expected) && text.contains("invoice. Größe: 3."), "{text}");
    assert_eq!(text.matches("Größe").count(), 1, "{text}");
    let names: Vec<_> = mail.members.iter().map(|member| &*member.name).collect();
    assert_eq!((mail.pages.len(), names), (1, vec!["invoice.pdf", "logo.png"]));
    let carried = taken(&file("fixtures/office/invoice.eml"), Format::Email, 0).unwrap();
    assert_eq!(carried, file("fixtures/documents/invoice-en-classic.pdf"));
}

/// The file of this number that a file carries.
fn taken(bytes: &[u8], format: Format, number: usize) -> Result<Vec<u8>, TextError> {
    member(&head(format, Engine::Hayro), bytes, number, 1 << 20)
}

#[test]
fn archives_that_are_none_or_too_large_are_refused() {
    let bytes = file("fixtures/office/invoice.docx");
    for cut in [bytes.len() / 2, bytes.len() - 10, 30] {
        let end = text(&bytes[..cut], Format::Docx);
        assert!(matches!(end, Err(TextError::Unreadable(_))), "{cut}: {end:?}");
    }
    // The name and the kind are what the content says, not what it was taken for.
    assert!(text(&bytes, Format::Xlsx).unwrap().pages[0].text.contains("QL-2031"));
}

#[test]
fn a_mail_within_a_mail_is_a_file_that_it_carries() {
    let inner = "From: a@example.com\r\nSubject: Inner 47\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\nContent-Type: text/plain\r\n\r\nPay 12.00\r\n\
        --i\r\nContent-Type: application/pdf; name=deep.pdf\r\nContent-Disposition: attachment; \
        filename=deep.pdf\r\n\r\n%PDF-1.7\r\n--i--\r\n";
    let outer = format!(
        "From: b@example.com\r\nSubject: Outer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; \
         boundary=o\r\n\r\n--o\r\nContent-Type: text/plain\r\n\r\nSee below\r\n--o\r\nContent-Type: \
         message/rfc822\r\nContent-Disposition: attachment; filename=inner.eml\r\n\r\n{inner}\r\n--o--\r\n"
    );
    let mail = text(outer.as_bytes(), Format::Email).unwrap();
    assert!(mail.pages.len() == 1 && mail.pages[0].text.contains("See below"), "{mail:?}");
    assert_eq!(mail.members[0].name, "inner.eml");
    let inner = taken(outer.as_bytes(), Format::Email, 0).unwrap();
    let mail = text(&inner, Format::Email).unwrap();
    let text = &mail.pages[0].text;
    assert!(text.contains("Inner 47") && text.contains("12.00"), "{mail:?}");
    assert_eq!(mail.members[0].name, "deep.pdf");
    assert!(taken(&inner, Format::Email, 0).unwrap().starts_with(b"%PDF-1.7"));
    assert!(taken(&inner, Format::Email, 1).is_err());
}

#[test]
fn what_a_mail_carries_is_named_without_folders_and_pictures_of_its_text_are_left_out() {
    let part = |head: &str, body: &str| format!("--x\r\n{head}\r\n\r\n{body}\r\n");
    let parts = [
        part("Content-Type: text/html", "<p>Bill <img src=\"cid:logo\"></p>"),
        part("Content-Type: image/png\r\nContent-ID: <logo>", "\u{89}PNG"),
        part(
            "Content-Type: text/csv; charset=iso-8859-1; name=\"../../etc/L\u{f6}hne.csv\"\r\n\
             Content-Disposition: attachment\r\nContent-Transfer-Encoding: quoted-printable",
            "Gr=F6=DFe;1",
        ),
        part("Content-Type: application/octet-stream\r\nContent-Disposition: attachment", "a"),
    ];
    let head =
        "From: b@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x";
    let mail = format!("{head}\r\n\r\n{}--x--\r\n", parts.concat());
    let read = text(mail.as_bytes(), Format::Email).unwrap();
    let names: Vec<_> = read.members.iter().map(|member| &*member.name).collect();
    assert_eq!(names, ["L\u{f6}hne.csv", "attachment 2"]);
    // Its text is decoded on the way, and said to be.
    let csv = taken(mail.as_bytes(), Format::Email, 0).unwrap();
    assert_eq!(String::from_utf8(csv).unwrap().trim(), "Größe;1");
    assert_eq!(read.members[0].content_type.as_deref(), Some("text/csv; charset=utf-8"));
}
