//! What a worker holds after much work: `just memory`. Its figures are in docs/reliability.md.

use crate::harness::{Place, Process, fast, fixture, repository};

/// Kinds of documents, good and bad.
const MIXED: [&str; 12] = [
    "contract-services.pdf",
    "credit-note-de.pdf",
    "delivery.txt",
    "form-registration.pdf",
    "invoice-ch-werkstatt.pdf",
    "invoice-en-classic.pdf",
    "invoice-multipage.pdf",
    "letter.md",
    "order.html",
    "receipt-cafe.pdf",
    "broken.pdf",
    "scan.pdf",
];

/// Documents that wait at once.
const AT_ONCE: usize = 40;

/// Resident memory of a process, in KiB (proc(5): `status`).
fn resident(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn all_end(place: &Place, files: Vec<(String, Vec<u8>)>) {
    for files in files.chunks(AT_ONCE) {
        let mut open = Vec::new();
        for (name, bytes) in files {
            // Some hostile files are refused as they come.
            open.extend(place.try_upload(name, "generic", bytes.clone()).await.ok());
        }
        for document in &open {
            place.ended(document).await;
        }
    }
}

fn mixed(numbers: std::ops::Range<usize>) -> Vec<(String, Vec<u8>)> {
    let one = |number: usize| {
        let name = MIXED[number % MIXED.len()];
        // No two are the same file: nothing is read from an earlier answer.
        let bytes = [fixture(&format!("documents/{name}")), format!("\n%{number}\n").into()];
        (name.to_owned(), bytes.concat())
    };
    numbers.map(one).collect()
}

/// A statement of 619 pages with 45 lines each. It has no table of objects, which readers rebuild.
fn long(mark: usize) -> Vec<u8> {
    let pages = 619;
    let kids: String = (0..pages).map(|page| format!("{} 0 R ", 10 + 2 * page)).collect();
    let mut pdf = format!(
        "%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
         2 0 obj<</Type/Pages/MediaBox[0 0 595 842]/Count {pages}/Kids[{kids}]/Resources<</Font<</F \
         <</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>>>>>>>endobj\n"
    );
    for page in 0..pages {
        let row = |row: usize| {
            let number = mark * 1_000_000 + page * 45 + row;
            format!(
                "1 0 0 1 40 {} Tm (Item {number}) Tj 1 0 0 1 150 {0} Tm (Steel bolt M{row} x {page}) Tj \
                 1 0 0 1 400 {0} Tm ({}.{:02}) Tj\n",
                800 - 17 * row,
                number % 9973,
                number % 100
            )
        };
        let content: String = (0..45).map(row).collect();
        let content = format!("BT /F 9 Tf {content} ET");
        let (own, stream) = (10 + 2 * page, 11 + 2 * page);
        pdf.push_str(&format!(
            "{own} 0 obj<</Type/Page/Parent 2 0 R/Contents {stream} 0 R>>endobj\n\
             {stream} 0 obj<</Length {}>>stream\n{content}\nendstream endobj\n",
            content.len()
        ));
    }
    format!("{pdf}trailer<</Root 1 0 R>>\n%%EOF\n").into_bytes()
}

/// The files of `fixtures/hostile/corpus.py`.
fn hostile() -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let mut script = std::process::Command::new("python3");
    script.arg(repository().join("fixtures/hostile/corpus.py")).arg(folder.path());
    assert!(script.status().unwrap().success());
    let file = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    std::fs::read_dir(folder.path()).unwrap().flatten().map(file).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just memory"]
async fn a_worker_does_not_grow() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let mut sluice = place.start("up").await;
    let mut before = resident(&sluice);
    println!("{before:8} KiB at start");
    let mut report = |what: &str| {
        let now = resident(&sluice);
        println!("{now:8} KiB after {what} ({:+})", now.cast_signed() - before.cast_signed());
        std::mem::replace(&mut before, now)
    };
    all_end(&place, mixed(0..200)).await;
    report("200 mixed documents");
    all_end(&place, mixed(200..2_000)).await;
    let (early, late) = (report("2,000 mixed documents"), report("nothing more"));
    all_end(&place, vec![("long.pdf".to_owned(), long(1))]).await;
    let without = report("a document of 619 pages");
    for round in 0..4 {
        let files = (0..8).map(|n| ("long.pdf".to_owned(), long(2 + round * 8 + n))).collect();
        all_end(&place, files).await;
        report("eight documents of 619 pages at once");
    }
    all_end(&place, hostile()).await;
    let with = report("the hostile corpus");
    assert!(!sluice.has_ended(), "a hostile file ended the worker");
    println!("{early} {late} {without} {with}");
}
