//! Rich Text Format 1.9: what is seen of it, as rows.
//!
//! Own code, for no crate of it is kept that does not bring a browser's types with it. It reads in one
//! pass, whatever the nesting, and what it does not know it leaves out, as the format wants.

use crate::{limits::TextError, pages::Pages, plain};
use encoding_rs::{Encoding, WINDOWS_1252};

/// Part of replay keys: change it whenever the same bytes give other pages.
const ENGINE: &str = "rtf-1";

/// Between the cells of a row, and for a tabulator.
const GAP: &str = "   ";
/// Deeper than this nothing is nested that people write.
const DEPTH_MAX: usize = 1000;

/// Groups that are no text: their first word.
const UNSEEN: [&str; 22] = [
    "fonttbl",
    "colortbl",
    "stylesheet",
    "info",
    "pict",
    "object",
    "fldinst",
    "themedata",
    "datastore",
    "listtable",
    "listoverridetable",
    "rsidtbl",
    "generator",
    "xmlnstbl",
    "latentstyles",
    "filetbl",
    "revtbl",
    "bkmkstart",
    "bkmkend",
    "annotation",
    "comment",
    "nonesttables",
];

/// What holds in a group, and ends with it.
#[derive(Clone, Copy)]
struct Group {
    is_unseen: bool,
    is_hidden: bool,
    /// How many characters follow a `\u` for readers that do not know it.
    unicode_skip: usize,
}

struct RtfText {
    groups: Vec<Group>,
    encoding: &'static Encoding,
    /// Bytes of the character set that are not text yet: a character may have two.
    bytes: Vec<u8>,
    /// The first half of a character outside the basic plane.
    high: Option<u16>,
    skip: usize,
    pages: Vec<String>,
    line: String,
    has_hidden: bool,
}

/// Reads the text, by page where pages are broken by hand.
pub(super) fn read(bytes: &[u8]) -> Result<Pages, TextError> {
    let group = Group { is_unseen: false, is_hidden: false, unicode_skip: 1 };
    let mut walk = RtfText {
        groups: vec![group],
        encoding: WINDOWS_1252,
        bytes: Vec::new(),
        high: None,
        skip: 0,
        pages: vec![String::new()],
        line: String::new(),
        has_hidden: false,
    };
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'{' => walk.open()?,
            b'}' => walk.close(),
            b'\\' => rest = walk.control(after)?,
            b'\r' | b'\n' => {}
            byte => walk.byte(*byte),
        }
    }
    walk.end_line();
    let mut pages = plain::of_texts(ENGINE, walk.pages);
    if walk.has_hidden {
        pages.warnings.push("hidden text is left out".to_owned());
    }
    Ok(pages)
}

impl RtfText {
    fn group(&mut self) -> Option<&mut Group> {
        self.groups.last_mut()
    }

    fn open(&mut self) -> Result<(), TextError> {
        self.flush();
        let group = self.groups.last().copied();
        if self.groups.len() > DEPTH_MAX {
            return Err(TextError::Unreadable(format!(
                "its RTF is nested more than {DEPTH_MAX} deep"
            )));
        }
        self.groups.extend(group);
        Ok(())
    }

    fn close(&mut self) {
        self.flush();
        if self.groups.len() > 1 {
            self.groups.pop();
        }
    }

    /// What follows a backslash; gives what follows that.
    fn control<'a>(&mut self, text: &'a [u8]) -> Result<&'a [u8], TextError> {
        let Some((first, after)) = text.split_first() else { return Ok(text) };
        if !first.is_ascii_alphabetic() {
            return Ok(self.symbol(*first, after));
        }
        let end = text.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        let is_number =
            |(at, byte): (usize, &u8)| byte.is_ascii_digit() || (at == 0 && *byte == b'-');
        let digits = rest.iter().enumerate().take_while(|pair| is_number(*pair)).count();
        let (number, rest) = rest.split_at(digits);
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse::<i64>().ok());
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let word = std::str::from_utf8(word).unwrap_or_default();
        if word == "bin" {
            let length = usize::try_from(number.unwrap_or_default()).unwrap_or_default();
            return Ok(rest.get(length..).unwrap_or_default());
        }
        self.word(word, number);
        Ok(rest)
    }

    fn symbol<'a>(&mut self, symbol: u8, after: &'a [u8]) -> &'a [u8] {
        match symbol {
            b'\'' => {
                let (digits, rest) = after.split_at(after.len().min(2));
                let byte = std::str::from_utf8(digits).ok();
                let byte = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                byte.into_iter().for_each(|byte| self.byte(byte));
                return rest;
            }
            // A group that readers who do not know it leave out; none of them is text.
            b'*' => self.group().into_iter().for_each(|group| group.is_unseen = true),
            b'~' => self.push("\u{a0}"),
            b'_' => self.push("-"),
            b'-' => {}
            b'\r' | b'\n' => self.end_line(),
            b'\\' | b'{' | b'}' => self.byte(symbol),
            _ => {}
        }
        after
    }

    fn word(&mut self, word: &str, number: Option<i64>) {
        let is_on = number != Some(0);
        match word {
            _ if UNSEEN.contains(&word) => {
                self.group().into_iter().for_each(|g| g.is_unseen = true)
            }
            "v" => {
                self.flush();
                self.group().into_iter().for_each(|group| group.is_hidden = is_on);
            }
            "plain" => {
                self.flush();
                self.group().into_iter().for_each(|group| group.is_hidden = false);
            }
            "par" | "line" | "row" | "nestrow" | "sect" => self.end_line(),
            "page" => {
                self.end_line();
                if self.is_seen() {
                    self.pages.push(String::new());
                }
            }
            "tab" | "cell" | "nestcell" => self.push(GAP),
            "emdash" => self.push("—"),
            "endash" => self.push("–"),
            "bullet" => self.push("•"),
            "lquote" => self.push("‘"),
            "rquote" => self.push("’"),
            "ldblquote" => self.push("“"),
            "rdblquote" => self.push("”"),
            "emspace" | "enspace" | "qmspace" => self.push(" "),
            "ansicpg" => {
                let page = number.and_then(|number| u16::try_from(number).ok());
                let label = page.map(|page| format!("windows-{page}"));
                let known = label.and_then(|label| Encoding::for_label(label.as_bytes()));
                self.encoding = known.unwrap_or_else(|| of_code_page(page.unwrap_or_default()));
            }
            "uc" => {
                let skip = usize::try_from(number.unwrap_or(1)).unwrap_or(1);
                self.group().into_iter().for_each(|group| group.unicode_skip = skip);
            }
            "u" => self.unicode(number.unwrap_or_default()),
            _ => {}
        }
    }

    /// A unit of UTF-16, as a signed number.
    fn unicode(&mut self, number: i64) {
        let unit = (number & 0xffff) as u16;
        let units = [self.high.take(), Some(unit)].into_iter().flatten();
        for character in char::decode_utf16(units) {
            match character {
                Ok(character) => self.push(character.encode_utf8(&mut [0; 4])),
                Err(half) if (0xd800..0xdc00).contains(&half.unpaired_surrogate()) => {
                    self.high = Some(half.unpaired_surrogate());
                }
                Err(_) => self.push("\u{fffd}"),
            }
        }
        self.skip = self.groups.last().map_or(1, |group| group.unicode_skip);
    }

    fn byte(&mut self, byte: u8) {
        match self.skip {
            0 => self.bytes.push(byte),
            _ => self.skip -= 1,
        }
    }

    fn is_seen(&self) -> bool {
        self.groups.last().is_none_or(|group| !group.is_unseen)
    }

    /// The bytes so far become text.
    fn flush(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if !bytes.is_empty() {
            let (text, _) = self.encoding.decode_without_bom_handling(&bytes);
            self.show(&text);
        }
        self.skip = 0;
    }

    fn push(&mut self, text: &str) {
        self.flush();
        self.show(text);
    }

    fn show(&mut self, text: &str) {
        match self.groups.last() {
            Some(group) if group.is_unseen => {}
            Some(group) if group.is_hidden => self.has_hidden |= !text.trim().is_empty(),
            _ => self.line.push_str(text),
        }
    }

    fn end_line(&mut self) {
        self.flush();
        if !self.is_seen() {
            return;
        }
        let line = std::mem::take(&mut self.line);
        if let Some(page) = self.pages.last_mut()
            && !line.trim().is_empty()
        {
            page.push_str(line.trim_end());
            page.push('\n');
        }
    }
}

/// The character set of a code page that has another name.
fn of_code_page(page: u16) -> &'static Encoding {
    match page {
        932 => encoding_rs::SHIFT_JIS,
        936 => encoding_rs::GBK,
        949 => encoding_rs::EUC_KR,
        950 => encoding_rs::BIG5,
        866 => encoding_rs::IBM866,
        10_000 => encoding_rs::MACINTOSH,
        65_001 => encoding_rs::UTF_8,
        _ => WINDOWS_1252,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rtf: &str) -> Vec<String> {
        read(rtf.as_bytes()).unwrap().pages.into_iter().map(|page| page.text).collect()
    }

    #[test]
    fn what_is_seen_is_read_in_rows() {
        let head =
            r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\info{\title Secret}}{\*\gen x;}";
        let body = r"\pard Total\tab 1\'80\par Caf\'e9 \u8364?\uc0\u-10179\u-8704 end\par";
        assert_eq!(text(&format!("{head}{body}}}")), ["Total   1€\nCafé €😀end\n"]);
        let row = r"{\rtf1 \trowd Two\cell Green \b tea\b0\cell\row \trowd 1\cell Cup\cell\row}";
        assert_eq!(text(row), ["Two   Green tea\n1   Cup\n"]);
        assert_eq!(text(r"{\rtf1 a\page b}"), ["a\n", "b\n"]);
        assert_eq!(text("{\\rtf1 a \\{b\\}\\~\\_c\r\nd\\\ne}"), ["a {b}\u{a0}-cd\ne\n"]);
        assert_eq!(text(r"{\rtf1\ansicpg1251 \'cf\'f0\'e8}"), ["При\n"]);
        assert_eq!(text(r"{\rtf1\ansicpg932 \'93\'fa\'96\'7b}"), ["日本\n"]);
    }

    #[test]
    fn what_is_not_seen_is_left_out_and_told() {
        let pages = read(br"{\rtf1 a{\v hidden} b\v secret\v0 c{\pict\bin4 }}\\}d}").unwrap();
        assert_eq!(pages.pages[0].text, "a bcd\n");
        assert_eq!(pages.warnings.len(), 1);
    }

    #[test]
    fn any_bytes_end() {
        for bytes in
            ["", "{", "}", "\\", "\\'", "\\'f", "\\u", "\\bin99999999999 x", "{\\rtf1\\uc-5\\u"]
        {
            read(bytes.as_bytes()).unwrap();
        }
        assert!(read("{".repeat(100_000).as_bytes()).is_err());
    }
}
