//! Whether letters are the right ones: a font may not say, or say wrongly, what its glyphs stand
//! for.
//!
//! Pure.

/// More of a text than this part without a known meaning, and it was not read.
const UNKNOWN_MAX: f64 = 0.05;

/// More than this part, and what is left of the text is of no use.
const USELESS: f64 = 0.5;

/// Shorter words than this, in letters, are often abbreviations.
const WORD_LETTERS_MIN: usize = 4;

/// From fewer letters nothing can be told.
const LETTERS_MIN: usize = 200;

/// In languages that are written with Latin letters a third to a half of them are vowels. Of text
/// whose letters are shifted by some places it is about a seventh, of random letters a fifth.
const VOWELS_MIN: f64 = 0.18;

/// How well a text was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letters {
    /// As well as can be told.
    Known,
    /// So many characters have no known meaning, of so many.
    Unknown(usize, usize),
    /// It is made of letters that form no words.
    Scrambled,
}

impl Letters {
    /// What to tell of it, where it is not all right.
    pub(crate) fn fault(self) -> Option<String> {
        match self {
            Self::Known => None,
            Self::Unknown(unknown, all) => Some(format!(
                "{unknown} of its {all} characters have no known meaning: its fonts do not say what \
                 their glyphs stand for"
            )),
            Self::Scrambled => Some(
                "its letters form no words: its fonts say wrongly what their glyphs stand for"
                    .to_owned(),
            ),
        }
    }

    /// Whether there is nothing in the text for anybody.
    pub(crate) fn is_useless(self) -> bool {
        match self {
            Self::Known => false,
            Self::Unknown(unknown, all) => unknown as f64 > all as f64 * USELESS,
            Self::Scrambled => true,
        }
    }
}

/// How well this text was read.
pub(crate) fn judge(text: &str) -> Letters {
    let (mut all, mut unknown) = (0, 0);
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        all += 1;
        unknown += usize::from(is_unknown(c));
    }
    if unknown as f64 > f64::from(all) * UNKNOWN_MAX {
        let all = usize::try_from(all).unwrap_or_default();
        return Letters::Unknown(unknown, all);
    }
    let is_latin = |word: &&str| {
        word.len() >= WORD_LETTERS_MIN && word.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let (mut letters, mut vowels) = (0, 0);
    for word in text.split_whitespace().filter(is_latin) {
        letters += word.len();
        vowels += word.bytes().filter(|byte| b"aeiouAEIOU".contains(byte)).count();
    }
    match letters >= LETTERS_MIN && (vowels as f64) < letters as f64 * VOWELS_MIN {
        true => Letters::Scrambled,
        false => Letters::Known,
    }
}

/// A sign for a missing meaning, of private use, or for control: none of them is printed.
fn is_unknown(c: char) -> bool {
    c == char::REPLACEMENT_CHARACTER || c.is_control() || matches!(c, '\u{e000}'..='\u{f8ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_is_told_from_what_was() {
        let prose = "Bitte überweisen Sie den Betrag ohne Abzug auf das unten genannte Konto ";
        assert_eq!(judge(prose), Letters::Known);
        assert_eq!(judge(""), Letters::Known);
        assert_eq!(judge("4711 0815 12,50 19 % XKCD PRTN"), Letters::Known);
        assert_eq!(judge("ab\u{fffd}\u{f041}\u{1}"), Letters::Unknown(3, 5));
        assert_eq!(judge(&("\u{fffd}".to_owned() + prose)), Letters::Known);
        // As a font says that calls each letter the third one after it.
        let shifted = |c: char| match c {
            'a'..='w' => char::from(c as u8 + 3),
            'x'..='z' => char::from(c as u8 - 23),
            other => other,
        };
        let plain = "please transfer this amount without deduction into account number named \
                     below within thirty days after receipt always stating that invoice number \
                     given above thank you very much for your order, which will be delivered \
                     before Christmas unless somebody prevents that";
        assert_eq!(judge(plain), Letters::Known);
        let scrambled: String = plain.chars().map(shifted).collect();
        assert_eq!(judge(&scrambled), Letters::Scrambled);
        assert!(judge(&scrambled).is_useless() && !judge("ab\u{fffd}").is_useless());
    }
}
