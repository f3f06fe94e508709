//! How long the image of a page takes at 150 dots per inch, child process and PNG included: for each
//! page of the PDFs of a folder, by default our fixtures: `cargo bench -p reader [-- FOLDER]`. To reach:
//! 40 ms a page.

#![allow(clippy::print_stdout, reason = "a benchmark")]

use bytes::Bytes;
use reader::{Children, Engine, Format, Limits, SIDE_MAX, Scanning, TextReader};
use std::{path::Path, process::ExitCode, time::Instant};

const DPI: u16 = 150;

/// The argument with which this program is its own child.
const CHILD: &str = "text-child";

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(CHILD) {
        return reader::child_main();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(measure()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<(), Box<dyn std::error::Error>> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/documents");
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let folder = folder.map_or(own, Into::into);
    let children = Children {
        program: std::env::current_exe()?,
        arguments: vec![CHILD.into()],
        count_max: 1,
        files_max: 1000,
        memory_kept_bytes_max: u64::MAX,
        allow_unsandboxed: false,
    };
    let scanning = Scanning { dpi: DPI, ..Scanning::default() };
    let reader = TextReader::new(children, Engine::Hayro, Limits::default(), scanning)?;
    let mut times = Vec::new();
    let mut bytes_all = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|end| end != "pdf") {
            continue;
        }
        let bytes = Bytes::from(std::fs::read(&path)?);
        let Ok(pages) = reader.read(&bytes, Format::Pdf.into()).await else { continue };
        for page in pages.pages.iter().take(20) {
            let started = Instant::now();
            let image = reader.image(&bytes, Format::Pdf.into(), page.number, SIDE_MAX).await;
            if let Ok(image) = image {
                times.push(started.elapsed().as_secs_f64() * 1_000.0);
                bytes_all += image.png.len();
            }
        }
    }
    times.sort_by(f64::total_cmp);
    let count = times.len();
    let mean = times.iter().sum::<f64>() / count.max(1) as f64;
    let at = |part: f64| times.get((count as f64 * part) as usize).copied().unwrap_or_default();
    let size = bytes_all / count.max(1) / 1024;
    println!(
        "{count} pages at {DPI} dpi: {mean:.1} ms each (half below {:.1}, nine of ten below {:.1}), \
         {size} KiB",
        at(0.5),
        at(0.9)
    );
    Ok(())
}
