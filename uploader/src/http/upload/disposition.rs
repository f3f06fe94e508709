//! `Content-Disposition` of a part of a form, as clients really send it.
//!
//! RFC 7578 and the HTML standard want names in UTF-8 between quotes; older libraries send `filename*`
//! (RFC 8187), percent-encoded names, names in Latin-1, and parameter names in any case. Pure.

/// What a part calls itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition {
    /// The field of the form.
    pub(super) name: Option<String>,
    /// The name of the file, as its owner knows it.
    pub(super) filename: Option<String>,
}

impl Disposition {
    /// Reads the value of the header. What cannot be read is left out.
    pub(super) fn read(header: &[u8]) -> Self {
        let (mut disposition, mut extended) = (Self::default(), None);
        // The type comes first.
        let mut rest = header.iter().position(|byte| *byte == b';').map(|at| header.split_at(at).1);
        while let Some((name, value, after)) = rest.and_then(parameter) {
            match name.as_str() {
                "name" => disposition.name = disposition.name.or_else(|| Some(text(&value))),
                "filename" => {
                    let filename = || Some(unescaped(&text(&value)));
                    disposition.filename = disposition.filename.or_else(filename);
                }
                "filename*" => extended = extended.or_else(|| extended_value(&value)),
                _ => {}
            }
            rest = Some(after);
        }
        // RFC 6266, 4.3: it is preferred, for it can say more.
        Self { filename: extended.or(disposition.filename), ..disposition }
    }
}

/// The next parameter: its name in small letters, its value, and what comes after it.
fn parameter(header: &[u8]) -> Option<(String, Vec<u8>, &[u8])> {
    let start = header.iter().position(|byte| *byte != b';' && !byte.is_ascii_whitespace())?;
    let rest = header.get(start..)?;
    let end = rest.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(rest.len());
    let name = text(rest.get(..end)?.trim_ascii()).to_ascii_lowercase();
    let rest = rest.get(end..)?;
    let Some(rest) = rest.strip_prefix(b"=") else { return Some((name, Vec::new(), rest)) };
    let rest = rest.trim_ascii_start();
    let (value, after) = match rest.strip_prefix(b"\"") {
        Some(quoted) => between_quotes(quoted),
        None => {
            let end = rest.iter().position(|byte| *byte == b';').unwrap_or(rest.len());
            let (value, after) = rest.split_at(end);
            (value.trim_ascii().to_vec(), after)
        }
    };
    Some((name, value, after))
}

/// A value up to its closing quote. Only a quote and a backslash may stand behind a backslash: others
/// part the folders of Windows.
fn between_quotes(quoted: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut value, mut rest) = (Vec::new(), quoted);
    loop {
        match rest {
            [b'\\', escaped @ (b'"' | b'\\'), after @ ..] => {
                value.push(*escaped);
                rest = after;
            }
            [b'"', after @ ..] => return (value, after),
            [byte, after @ ..] => {
                value.push(*byte);
                rest = after;
            }
            [] => return (value, rest),
        }
    }
}

/// UTF-8, or else Latin-1, of which every byte is a character.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// A name without the escapes of HTML forms; and without those of URLs, where it is written as in one.
fn unescaped(name: &str) -> String {
    let is_of_url = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    let decoded = match name.bytes().all(is_of_url) {
        true => percent_decoded(name.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok()),
        false => None,
    };
    decoded.unwrap_or_else(|| name.replace("%22", "\""))
}

/// RFC 8187: a character set, a language, and percent-encoded bytes.
fn extended_value(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = percent_decoded(encoded)?;
    match charset.to_ascii_lowercase().as_slice() {
        b"utf-8" => String::from_utf8(bytes).ok(),
        b"iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

/// None where a `%` is followed by anything but two hexadecimal digits.
fn percent_decoded(encoded: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (mut decoded, mut rest) = (Vec::with_capacity(encoded.len()), encoded);
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                decoded.push(digit(*high)? << 4 | digit(*low)?);
                after
            }
            (b'%', _) => return None,
            (byte, after) => {
                decoded.push(*byte);
                after
            }
        };
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &[u8]) -> (String, String) {
        let Disposition { name, filename } = Disposition::read(header);
        (name.unwrap_or_default(), filename.unwrap_or_else(|| "(none)".to_owned()))
    }

    #[test]
    fn names_are_read_as_clients_send_them() {
        let check = |header: &str, filename: &str| {
            let (name, given) = read(header.as_bytes());
            assert_eq!((name.as_str(), given.as_str()), ("file", filename), "{header}");
        };
        check(
            "form-data; name=\"file\"; filename=\"Auszug März – 対帳.pdf\"",
            "Auszug März – 対帳.pdf",
        );
        check("form-data; name=file; filename=a.txt", "a.txt");
        check("form-data;name = \"file\" ;filename = a.txt ", "a.txt");
        check("Form-Data; Name=\"file\"; FileName=\"a.txt\"", "a.txt");
        check("form-data; filename=\"name=x; a.txt\"; name=\"file\"", "name=x; a.txt");
        check("form-data; name=\"file\"", "(none)");
        check("form-data; name=\"file\"; filename=\"\"", "");
        // Quotes and folders.
        check(r#"form-data; name="file"; filename="the \"new\" one.txt""#, "the \"new\" one.txt");
        check(r#"form-data; name="file"; filename="the %22new%22 one.txt""#, "the \"new\" one.txt");
        check(r#"form-data; name="file"; filename="D:\scans\new.txt""#, r"D:\scans\new.txt");
        check("form-data; name=\"file\"; filename=\"open end", "open end");
        // Percent-encoded, with and without a character set.
        check("form-data; name=\"file\"; filename=Bon%20de%20caf%C3%A9.txt", "Bon de café.txt");
        check("form-data; name=\"file\"; filename=\"Bon%20de%20caf%C3%A9.txt\"", "Bon de café.txt");
        check("form-data; name=\"file\"; filename=\"100% sure.txt\"", "100% sure.txt");
        check("form-data; name=\"file\"; filename=\"100%.txt\"", "100%.txt");
        check("form-data; name=\"file\"; FILENAME*=UTF-8''caf%c3%a9%3B.txt", "café;.txt");
        check("form-data; name=\"file\"; filename*=iso-8859-1'fr'caf%E9.txt", "café.txt");
        check("form-data; name=\"file\"; filename*=utf-8'en'a.txt; filename=\"b.txt\"", "a.txt");
        check("form-data; name=\"file\"; filename=\"b.txt\"; filename*=utf-8''a.txt", "a.txt");
        // One that cannot be read does not hide the other.
        check("form-data; name=\"file\"; filename=\"b.txt\"; filename*=utf-8''%FF", "b.txt");
        check("form-data; name=\"file\"; filename*=koi8-r''%C1; filename=b.txt", "b.txt");
        let latin1 = read(b"form-data; name=\"file\"; filename=\"caf\xe9.txt\"");
        assert_eq!(latin1.1, "café.txt");
    }

    #[test]
    fn no_header_is_too_odd() {
        for header in [
            "",
            ";",
            "form-data",
            ";;=;=\"",
            "form-data; =x; name",
            "; filename*=''",
            "; filename*",
        ] {
            Disposition::read(header.as_bytes());
        }
    }
}
