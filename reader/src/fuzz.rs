//! What `fuzz/` calls: reading within one process, and the parent's ear for a child.

use crate::{
    answer,
    child::{self, Head, Job},
    files::Engine,
    format::Format,
    limits::Limits,
};

/// Reads a file; its first byte chooses format and engine.
pub fn file(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let (format, engine) = match choice % 5 {
        0 => (Format::Pdf, Engine::Hayro),
        1 => (Format::Pdf, Engine::PdfExtract),
        2 => (Format::Html, Engine::Hayro),
        3 => (Format::Text, Engine::Hayro),
        _ => (Format::Markdown, Engine::Hayro),
    };
    // libFuzzer takes every panic for a find; those of engines are expected, and caught.
    std::panic::set_hook(Box::new(|_| {}));
    let password = String::new();
    let head = Head { file_type: format.into(), engine, bytes: 0, job: Job::Text, password };
    let _ = child::read(&head, bytes, &Limits::default());
}

/// Hears an answer.
pub fn answer(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    if let Ok(runtime) = runtime {
        let _ = runtime.block_on(answer::answer(&mut &*bytes, &Limits::default()));
    }
}
