//! Names what a file seems to be, for people whose file was refused.

/// The first bytes of formats that are not read.
#[rustfmt::skip]
const SIGNATURES: [(&[u8], &str); 19] = [
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"BM", "a BMP image"),
    (b"RIFF", "a RIFF file (WebP, WAV or AVI)"),
    (b"PK\x03\x04", "a ZIP archive, and none of an Office document"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an old Office document (doc, xls, msg)"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3\0", "a SQLite database"),
];

/// What a file that starts with `head` seems to be.
pub(super) fn describe(head: &[u8]) -> &'static str {
    if let Some((_, name)) = SIGNATURES.iter().find(|(start, _)| head.starts_with(start)) {
        return name;
    }
    match head.get(4..12) {
        Some(b"ftypheic" | b"ftypheix" | b"ftypmif1") => return "a HEIC image",
        Some(kind) if kind.starts_with(b"ftyp") => return "a video",
        _ => {}
    }
    if head.iter().all(u8::is_ascii_whitespace) {
        "nothing but white space"
    } else if head.contains(&0) {
        "binary data"
    } else {
        "text that is not UTF-8 and does not declare its character set, or binary data"
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_people_upload_by_mistake_has_a_name() {
        let check = |head: &[u8], expected: &str| assert_eq!(super::describe(head), expected);
        check(b"\x89PNG\r\n\x1a\n\0", "a PNG image");
        check(b"PK\x03\x04\x14\0", "a ZIP archive, and none of an Office document");
        check(b"\0\0\0\x18ftypheic\0", "a HEIC image");
        check(b" \n\t", "nothing but white space");
        let undeclared =
            "text that is not UTF-8 and does not declare its character set, or binary data";
        check(b"Gr\xf6\xdfe", undeclared);
        check(b"a\0b", "binary data");
    }
}
