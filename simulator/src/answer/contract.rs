//! What contracts say in sentences: parties, dates, law, notice and value.

use super::date::{self, Order};
use super::number::{self, Style};
use super::text::Document;
use super::{code, names};

/// A party and its role, as printed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Party {
    pub(crate) name: String,
    pub(crate) role: Option<String>,
}

const ROLES: [&str; 46] = [
    "supplier",
    "customer",
    "client",
    "contractor",
    "provider",
    "service provider",
    "landlord",
    "tenant",
    "lessor",
    "lessee",
    "licensor",
    "licensee",
    "buyer",
    "seller",
    "employer",
    "employee",
    "consultant",
    "vendor",
    "lender",
    "borrower",
    "auftraggeber",
    "auftragnehmer",
    "vermieter",
    "mieter",
    "kaufer",
    "verkaufer",
    "lieferant",
    "kunde",
    "arbeitgeber",
    "arbeitnehmer",
    "bailleur",
    "locataire",
    "prestataire",
    "fournisseur",
    "acheteur",
    "vendeur",
    "arrendador",
    "arrendatario",
    "proveedor",
    "locatore",
    "conduttore",
    "fornitore",
    "committente",
    "verhuurder",
    "huurder",
    "opdrachtgever",
];
/// Words that open the list of the parties.
const OPENINGS: [&str; 9] = [
    "between",
    "zwischen",
    "entre",
    "tra ",
    "tussen",
    "by and among",
    "made by",
    "between:",
    "zwischen:",
];

/// Those who conclude a contract.
pub(crate) fn parties(document: &Document) -> Vec<Party> {
    let labelled = labelled_parties(document);
    if labelled.len() >= 2 {
        return labelled;
    }
    let defined = defined_parties(&document.flow());
    if defined.is_empty() { labelled } else { defined }
}

fn labelled_parties(document: &Document) -> Vec<Party> {
    let mut found: Vec<Party> = Vec::new();
    for cell in document.rows.iter().flat_map(|row| &row.cells) {
        let Some((label, value)) = cell.text.split_once(':') else { continue };
        let label = label.trim().trim_start_matches("The ");
        let name = names::name_part(value.trim());
        let is_role = ROLES.contains(&super::words::fold(label).as_str());
        if is_role && names::is_name(&name) && !found.iter().any(|party| party.name == name) {
            found.push(Party { name, role: Some(label.to_owned()) });
        }
    }
    found
}

/// Parties as sentences define them: `ACME Ltd, of London (the "Supplier")`.
fn defined_parties(flow: &str) -> Vec<Party> {
    let lower = flow.to_lowercase();
    let opening =
        OPENINGS.iter().filter_map(|word| lower.find(word).map(|at| at + word.len())).min();
    let Some(mut rest) = opening.and_then(|at| flow.get(at..)) else { return Vec::new() };
    let mut found: Vec<Party> = Vec::new();
    while found.len() < 6 {
        let Some((start, end, role)) = next_role(rest) else { break };
        if start > 400 {
            break;
        }
        let name = party_name(rest.get(..start).unwrap_or_default());
        if names::is_name(&name) {
            found.push(Party { name, role: Some(role) });
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    found
}

/// The next quoted or bracketed word that names a role.
fn next_role(text: &str) -> Option<(usize, usize, String)> {
    let opens = ['(', '"', '“', '„', '«', '”'];
    for (start, open) in text.match_indices(opens) {
        let inner_start = start + open.len();
        let inner = text.get(inner_start..)?;
        let Some(length) = inner.find([')', '"', '”', '“', '»']) else { continue };
        let mut role = inner.get(..length)?.trim();
        let mut end = inner_start + length;
        if open == "(" {
            // The quotes inside the brackets hold the word itself.
            let close = inner.find(')')?;
            let whole = inner.get(..close)?;
            end = inner_start + close + 1;
            role = match whole.find(['"', '“', '„', '«']) {
                Some(quote) => {
                    let quoted = whole.get(quote..)?.trim_start_matches(['"', '“', '„', '«', '”']);
                    let length = quoted.find(['"', '”', '“', '»']).unwrap_or(quoted.len());
                    quoted.get(..length)?.trim()
                }
                None => whole.trim(),
            };
        }
        let bare = role.trim_start_matches("the ").trim_start_matches("The ");
        if ROLES.contains(&super::words::fold(bare).as_str()) {
            return Some((start, end, bare.to_owned()));
        }
    }
    None
}

/// The name in the words before a role: from the last joining word to the first comma.
fn party_name(before: &str) -> String {
    let mut text = before.trim_start_matches(|c: char| !c.is_alphanumeric()).trim();
    for joint in [
        "and ", "und ", "et ", "y ", "e ", "en ", "the ", "(1) ", "(2) ", "1) ", "2) ", "1. ",
        "2. ",
    ] {
        text = text.strip_prefix(joint).unwrap_or(text).trim();
    }
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let end = [", ", " (", " – ", "; ", " whose ", " with its ", " of ", " having ", " mit Sitz "]
        .iter()
        .filter_map(|end| text.find(end))
        .min();
    end.and_then(|end| text.get(..end)).unwrap_or(text).trim().to_owned()
}

const STARTS: [&str; 24] = [
    "effective as of",
    "effective date",
    "with effect from",
    "effective from",
    "takes effect on",
    "take effect on",
    "comes into effect on",
    "shall commence on",
    "commences on",
    "commencing on",
    "begins on",
    "starts on",
    "entered into as of",
    "entered into on",
    "dated",
    "made on",
    "mit wirkung vom",
    "mit wirkung zum",
    "beginnt am",
    "ab dem",
    "prend effet le",
    "entra en vigor el",
    "con decorrenza dal",
    "gaat in op",
];
const ENDS: [&str; 21] = [
    "ends on",
    "end on",
    "expires on",
    "expire on",
    "terminates on",
    "terminate on",
    "continues until",
    "continue until",
    "remains in force until",
    "and until",
    "until",
    "through",
    "endet am",
    "bis zum",
    "befristet bis",
    "jusqu au",
    "prend fin le",
    "hasta el",
    "fino al",
    "eindigt op",
    "tot en met",
];

/// The day on which a contract takes effect.
pub(crate) fn effective_date(flow: &str, order: Order) -> Option<String> {
    date_after(flow, &STARTS, order)
}

/// The day on which a contract ends.
pub(crate) fn end_date(flow: &str, order: Order) -> Option<String> {
    date_after(flow, &ENDS, order)
}

fn date_after(flow: &str, phrases: &[&str], order: Order) -> Option<String> {
    let dates = date::all(flow, order);
    let lower = flow.to_ascii_lowercase();
    phrases.iter().find_map(|phrase| {
        lower.match_indices(phrase).find_map(|(start, _)| {
            let end = start + phrase.len();
            let near = |(at, _): &&(usize, String)| (end..end + 40).contains(at);
            dates.iter().find(near).map(|(_, date)| date.clone())
        })
    })
}

/// The law that governs a contract, as printed.
pub(crate) fn governing_law(flow: &str) -> Option<String> {
    const PHRASES: [&str; 12] = [
        "governed by and construed in accordance with the laws of ",
        "in accordance with the laws of ",
        "governed by the laws of ",
        "governed by the law of ",
        "the laws of ",
        "the law of ",
        "governed by ",
        "es gilt das recht der ",
        "es gilt ",
        "droit applicable est le ",
        "regie par le ",
        "se rige por ",
    ];
    let lower = flow.to_ascii_lowercase();
    PHRASES.iter().find_map(|phrase| {
        let start = lower.find(phrase)? + phrase.len();
        let rest = flow.get(start..)?;
        let end = rest.find(['.', ';', ',']).unwrap_or(rest.len()).min(rest.len());
        let text = rest.get(..end)?;
        let text = text.split(" and the courts").next()?.split(" without ").next()?.trim();
        (!text.is_empty() && text.chars().count() <= 80).then(|| text.to_owned())
    })
}

/// What announces a period of notice.
const MARKS: [&str; 8] = [
    "notice",
    "kündigungsfrist",
    "frist von",
    "préavis",
    "preaviso",
    "preavviso",
    "opzegtermijn",
    "kündigung",
];

/// What periods are counted in, in seven languages.
const UNITS: [&str; 34] = [
    "day",
    "days",
    "week",
    "weeks",
    "month",
    "months",
    "year",
    "years",
    "tag",
    "tage",
    "tagen",
    "woche",
    "wochen",
    "monat",
    "monate",
    "monaten",
    "jahr",
    "jours",
    "semaines",
    "mois",
    "dias",
    "días",
    "semanas",
    "mes",
    "meses",
    "giorni",
    "settimane",
    "mesi",
    "dagen",
    "weken",
    "maand",
    "maanden",
    "business",
    "calendar",
];

/// How long before its end notice must be given, as printed.
pub(crate) fn notice_period(flow: &str) -> Option<String> {
    let tokens: Vec<&str> = flow.split(' ').collect();
    let bare = |index: usize| {
        let token = tokens.get(index).copied().unwrap_or_default();
        token.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
    };
    let marks = (0..tokens.len()).filter(|index| {
        let word = bare(*index);
        MARKS.iter().any(|mark| word.starts_with(mark.split(' ').next().unwrap_or(mark)))
    });
    for mark in marks {
        for unit in mark.saturating_sub(8)..mark + 12 {
            if !UNITS.contains(&bare(unit).as_str()) {
                continue;
            }
            let Some(mut start) = unit.checked_sub(1) else { continue };
            // "three (3) months": the figure in brackets belongs to the word before it.
            let is_bracketed = tokens.get(start).is_some_and(|token| token.starts_with('('));
            if is_bracketed {
                start = start.saturating_sub(1);
            }
            if is_count(&bare(start)) {
                let printed = tokens.get(start..=unit)?.join(" ");
                return Some(printed.trim_end_matches(|c: char| !c.is_alphanumeric()).to_owned());
            }
        }
    }
    None
}

fn is_count(word: &str) -> bool {
    const COUNTS: [&str; 40] = [
        "one", "two", "three", "four", "six", "twelve", "thirty", "sixty", "ninety", "fourteen",
        "einem", "einer", "zwei", "drei", "vier", "sechs", "zwölf", "dreißig", "un", "une", "deux",
        "trois", "six", "dos", "tres", "seis", "treinta", "due", "tre", "sei", "trenta", "een",
        "twee", "drie", "zes", "dertig", "seven", "ten", "vierzehn", "trente",
    ];
    word.parse::<u32>().is_ok() || COUNTS.contains(&word)
}

/// The sum that a contract is about: value, and currency when printed beside it.
pub(crate) fn value(flow: &str, style: Style) -> Option<f64> {
    const MARKS: [&str; 14] = [
        "contract value",
        "total value",
        "total fee",
        "annual fee",
        "fee of",
        "fees",
        "price of",
        "sum of",
        "vergütung",
        "auftragswert",
        "vertragswert",
        "pauschale",
        "rent of",
        "prix",
    ];
    let lower = flow.to_lowercase();
    // Lower case can change the length of a text, so both are only compared when it did not.
    if lower.len() != flow.len() {
        return None;
    }
    MARKS.iter().find_map(|mark| {
        let start = lower.find(mark)?;
        let rest = flow.get(start..)?;
        number::all(rest, style).into_iter().take_while(|amount| amount.start < 100).find_map(
            |amount| {
                let before = rest.get(..amount.start)?;
                let beside: String =
                    before.chars().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect();
                let after: String = rest.get(amount.end..)?.chars().take(5).collect();
                let is_money = code::currency_in(&beside).or(code::currency_in(&after)).is_some();
                is_money.then_some(amount.value)
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "This Agreement is made on 1 March 2024 between Alpha Systems Ltd, a company of \
        London (the \"Supplier\"), and Beta Foods GmbH (the \"Customer\"). It ends on 28 February 2026. \
        The total fee is EUR 48,000.00 a year. Either party may terminate with three (3) months' written \
        notice. This Agreement is governed by the laws of England and Wales.";

    #[test]
    fn sentences_are_understood() {
        let document = Document::read(TEXT);
        let flow = document.flow();
        let party =
            |name: &str, role: &str| Party { name: name.to_owned(), role: Some(role.to_owned()) };
        assert_eq!(
            parties(&document),
            [party("Alpha Systems Ltd", "Supplier"), party("Beta Foods GmbH", "Customer")]
        );
        assert_eq!(effective_date(&flow, Order::DayFirst).as_deref(), Some("2024-03-01"));
        assert_eq!(end_date(&flow, Order::DayFirst).as_deref(), Some("2026-02-28"));
        assert_eq!(governing_law(&flow).as_deref(), Some("England and Wales"));
        assert_eq!(notice_period(&flow).as_deref(), Some("three (3) months"));
        assert_eq!(value(&flow, Style::Point), Some(48_000.0));
    }
}
