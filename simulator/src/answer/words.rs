//! Words compared without case, accents and punctuation, with their places in the text.

/// A word of a text: letters and digits only, folded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Word {
    pub(crate) folded: String,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The words of a text in order; `start` and `end` are byte offsets into it.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut found: Vec<Word> = Vec::new();
    let mut is_open = false;
    for (index, symbol) in text.char_indices() {
        let mut folded = String::new();
        let goes_on = fold_into(symbol, &mut folded);
        let end = index + symbol.len_utf8();
        match found.last_mut().filter(|_| is_open && goes_on) {
            Some(word) => {
                word.folded.push_str(&folded);
                word.end = end;
            }
            None if goes_on => found.push(Word { folded, start: index, end }),
            None => {}
        }
        is_open = goes_on;
    }
    found
}

/// A text as its folded words with single spaces between.
pub(crate) fn fold(text: &str) -> String {
    let words: Vec<String> = words(text).into_iter().map(|word| word.folded).collect();
    words.join(" ")
}

/// The name of a property as words: `sellerVatId`, `seller_vat_id` and `seller-vat-id` alike.
pub(crate) fn split_name(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    let mut was_lower = false;
    for symbol in name.chars() {
        if symbol.is_uppercase() && was_lower {
            spaced.push(' ');
        }
        was_lower = symbol.is_lowercase() || symbol.is_ascii_digit();
        spaced.push(symbol);
    }
    words(&spaced).into_iter().map(|word| word.folded).collect()
}

fn fold_into(symbol: char, out: &mut String) -> bool {
    let plain = match symbol {
        'ä' | 'à' | 'á' | 'â' | 'ã' | 'å' | 'ą' | 'Ä' | 'À' | 'Á' | 'Â' | 'Ã' | 'Å' | 'Ą' => {
            "a"
        }
        'é' | 'è' | 'ê' | 'ë' | 'ę' | 'É' | 'È' | 'Ê' | 'Ë' | 'Ę' => "e",
        'í' | 'ì' | 'î' | 'ï' | 'Í' | 'Ì' | 'Î' | 'Ï' => "i",
        'ö' | 'ò' | 'ó' | 'ô' | 'õ' | 'ø' | 'Ö' | 'Ò' | 'Ó' | 'Ô' | 'Õ' | 'Ø' => "o",
        // The signs in "n° 12" and "nº 12".
        '°' | 'º' => "o",
        'ü' | 'ù' | 'ú' | 'û' | 'Ü' | 'Ù' | 'Ú' | 'Û' => "u",
        'ç' | 'ć' | 'Ç' | 'Ć' => "c",
        'ñ' | 'ń' | 'Ñ' | 'Ń' => "n",
        'ł' | 'Ł' => "l",
        'ś' | 'Ś' => "s",
        'ź' | 'ż' | 'Ź' | 'Ż' => "z",
        'ß' => "ss",
        'œ' | 'Œ' => "oe",
        'æ' | 'Æ' => "ae",
        _ if symbol.is_alphanumeric() => {
            out.extend(symbol.to_lowercase());
            return true;
        }
        _ => return false,
    };
    out.push_str(plain);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_folded() {
        assert_eq!(fold("  Rechnungs-Nr.: "), "rechnungs nr");
        assert_eq!(fold("Numéro n° 12 (TTC)"), "numero no 12 ttc");
        assert_eq!(fold("FÄLLIG am"), "fallig am");
        assert_eq!(words("a, bc").last().map(|word| (word.start, word.end)), Some((3, 5)));
    }

    #[test]
    fn names_are_split() {
        for name in ["sellerVatId", "seller_vat_id", "Seller VAT-id"] {
            assert_eq!(split_name(name), ["seller", "vat", "id"], "{name}");
        }
    }
}
