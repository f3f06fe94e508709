//! The facts of a document, looked up by label first and by form or place after that.

use super::date::{self, Order};
use super::find::{Candidate, Hit, Index, Place};
use super::labels::Fact;
use super::number::{self, Style};
use super::table::{self, Line};
use super::text::Document;
use super::words::{fold, words};
use super::{code, contract, names};

/// A document, read.
pub(crate) struct Facts {
    pub(crate) document: Document,
    pub(crate) index: Index,
    pub(crate) style: Style,
    pub(crate) order: Order,
    pub(crate) lines: Vec<Line>,
    flow: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    /// As printed, or as ISO 8601 for a date.
    Text(String),
    /// A number and how it was printed.
    Number(f64, String),
}

/// What the value of a fact looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Id,
    Date,
    Name,
    Text,
}

impl Facts {
    /// Reads a prompt.
    pub(crate) fn read(prompt: &str) -> Self {
        let document = Document::read(prompt);
        let index = Index::new(&document);
        let style = number::style_of(&document);
        let order = date::order_of(&document);
        let lines = table::lines(&document, &index, style);
        let flow = document.flow();
        Self { document, index, style, order, lines, flow }
    }

    /// A fact, if the document states it.
    pub(crate) fn find(&self, fact: Fact) -> Option<Found> {
        match fact {
            Fact::Net | Fact::Tax | Fact::Total => self.sum(fact),
            Fact::Currency => self.currency().map(|code| Found::Text(code.to_owned())),
            Fact::Value => self.value(),
            _ => self.text(fact).map(Found::Text),
        }
    }

    fn text(&self, fact: Fact) -> Option<String> {
        match fact {
            Fact::Seller => self.seller(),
            Fact::Buyer => self.buyer(),
            Fact::SellerVat => self.vat(false),
            Fact::BuyerVat => self.vat(true),
            Fact::Iban => self.scan(code::iban_in),
            Fact::Bic => self.labelled(Fact::Bic, Form::Text).and_then(|text| code::bic_in(&text)),
            Fact::Time => self.scan(code::time_in),
            Fact::Email => self.scan(email_in),
            Fact::Title => {
                names::title(&self.document, self.order).or(self.labelled(Fact::Title, Form::Text))
            }
            Fact::Kind => Some(names::kind(&self.document).to_owned()),
            Fact::Language => Some(names::language(&self.document).to_owned()),
            Fact::Summary => self.summary(),
            Fact::PaymentMethod => {
                self.labelled(fact, Form::Name).or_else(|| names::payment_method(&self.document))
            }
            Fact::IssueDate => self
                .labelled(fact, Form::Date)
                .or_else(|| self.date_of_number())
                .or_else(|| self.scan_date()),
            Fact::EffectiveDate => self
                .labelled(fact, Form::Date)
                .or_else(|| contract::effective_date(&self.flow, self.order)),
            Fact::EndDate => self
                .labelled(fact, Form::Date)
                .or_else(|| contract::end_date(&self.flow, self.order)),
            Fact::GoverningLaw => {
                contract::governing_law(&self.flow).or(self.labelled(fact, Form::Name))
            }
            Fact::NoticePeriod => self
                .labelled(fact, Form::Text)
                .filter(|text| text.chars().count() <= 60)
                .or(contract::notice_period(&self.flow)),
            Fact::DueDate | Fact::ServiceDate => self.labelled(fact, Form::Date),
            Fact::InvoiceNumber | Fact::OrderNumber | Fact::CustomerNumber | Fact::Phone => {
                self.labelled(fact, Form::Id)
            }
            _ => self.labelled(fact, Form::Text),
        }
    }

    /// The value of a label that a schema asks for by words that are not in the table.
    pub(crate) fn under_label(&self, wanted: &[String]) -> Option<String> {
        for (row_index, row) in self.document.rows.iter().enumerate() {
            for (cell_index, cell) in row.cells.iter().enumerate() {
                let (label, rest) = cell.text.split_once(':').unwrap_or((&cell.text, ""));
                let own: Vec<String> = words(label).into_iter().map(|word| word.folded).collect();
                let is_it = own.len() <= wanted.len() + 2 && wanted.iter().all(|w| own.contains(w));
                if !is_it || wanted.is_empty() {
                    continue;
                }
                if !rest.trim().is_empty() {
                    return Some(rest.trim().to_owned());
                }
                if let Some(beside) = row.cells.get(cell_index + 1) {
                    return Some(beside.text.clone());
                }
                let (below, cell) = self.document.below(row_index, cell_index)?;
                return self.document.rows.get(below)?.cells.get(cell).map(|c| c.text.clone());
            }
        }
        None
    }

    /// All labels and values, in the order of the document.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for (row_index, row) in self.document.rows.iter().enumerate() {
            let mut cells = row.cells.iter().enumerate().peekable();
            while let Some((cell_index, cell)) = cells.next() {
                if let Some((label, value)) = split_pair(&cell.text) {
                    pairs.push((label, value));
                    continue;
                }
                let label = cell.text.strip_suffix(':');
                let is_known = row.cells.len() == 2 && self.index.is_label(row_index, cell_index);
                let label = label.or_else(|| is_known.then_some(cell.text.as_str()));
                if let (Some(label), Some((_, next))) = (label, cells.peek()) {
                    pairs.push((label.trim().to_owned(), next.text.clone()));
                    cells.next();
                }
            }
        }
        pairs
    }

    /// All dates, in the order of the document.
    pub(crate) fn dates(&self) -> Vec<String> {
        date::all(&self.flow, self.order).into_iter().map(|(_, date)| date).collect()
    }

    /// The parties of a contract.
    pub(crate) fn parties(&self) -> Vec<contract::Party> {
        contract::parties(&self.document)
    }

    /// The number printed in a text.
    pub(crate) fn number_in(&self, text: &str) -> Option<f64> {
        number::only(text, self.style)
            .or_else(|| number::last(text, self.style))
            .map(|amount| amount.value)
    }

    fn labelled(&self, fact: Fact, form: Form) -> Option<String> {
        let mut hits: Vec<&Hit> = self.index.of(fact).collect();
        hits.sort_by_key(|hit| (hit.rank, hit.row, hit.cell));
        hits.into_iter().find_map(|hit| {
            let candidates = self.index.candidates(&self.document, hit);
            let named = candidates.iter().find_map(|candidate| self.fitting(candidate, form));
            named.or_else(|| self.name_under(hit).filter(|_| form == Form::Name))
        })
    }

    /// The name in a block of rows under a heading, behind numbers and other labels:
    /// "Seller:", "Number: 4711", "Acme Ltd".
    fn name_under(&self, hit: &Hit) -> Option<String> {
        const BLOCK_ROWS: usize = 4;
        let heading = self.document.rows.get(hit.row)?;
        if !hit.is_alone || heading.cells.len() > 1 {
            return None;
        }
        let rows = self.document.rows.iter().skip(hit.row + 1).take(BLOCK_ROWS);
        for row in rows {
            let text = row.text();
            let (label, value) = text.split_once(':').unwrap_or(("", &text));
            if matches!(fold(label).as_str(), "" | "name" | "firma" | "nom" | "company") {
                let name = names::name_part(value.trim());
                return names::is_name(&name).then_some(name);
            }
        }
        None
    }

    fn fitting(&self, candidate: &Candidate, form: Form) -> Option<String> {
        let text = candidate.text.trim();
        match form {
            Form::Date => {
                let (start, date) = date::all(text, self.order).into_iter().next()?;
                // A date far inside a sentence after a loose label is about something else.
                let is_near = candidate.place != Place::SameCell || start <= 6;
                is_near.then_some(date)
            }
            // A date may follow: "Invoice no. 4711 of 2024-03-05".
            Form::Id => id_in(text).filter(|id| date::first(id, self.order).is_none()),
            Form::Name if candidate.place == Place::SameCell => None,
            Form::Name => Some(names::name_part(text)).filter(|name| names::is_name(name)),
            Form::Text if candidate.place == Place::SameCell => None,
            Form::Text => Some(text.to_owned()),
        }
    }

    fn scan(&self, rule: impl Fn(&str) -> Option<String>) -> Option<String> {
        self.document.rows.iter().flat_map(|row| &row.cells).find_map(|cell| rule(&cell.text))
    }

    /// The date that follows the number: "Invoice no. 4711 of 2024-03-05".
    fn date_of_number(&self) -> Option<String> {
        let hits = self.index.of(Fact::InvoiceNumber);
        let candidates = hits.flat_map(|hit| self.index.candidates(&self.document, hit));
        let mut numbered = candidates.filter(|candidate| id_in(&candidate.text).is_some());
        numbered.find_map(|candidate| date::first(&candidate.text, self.order))
    }

    fn scan_date(&self) -> Option<String> {
        date::first(&self.flow, self.order)
    }

    fn currency(&self) -> Option<&'static str> {
        let labelled = self.labelled(Fact::Currency, Form::Text);
        labelled
            .and_then(|text| code::currency_in(&text))
            .or_else(|| code::currency_of(&self.document))
    }

    fn value(&self) -> Option<Found> {
        let labelled = self.index.of(Fact::Value).find_map(|hit| {
            let candidates = self.index.candidates(&self.document, hit);
            candidates.into_iter().find_map(|candidate| {
                let is_close = candidate.place != Place::SameCell
                    || candidate.text.starts_with(|c: char| !c.is_alphabetic());
                let money = code::currency_in(&candidate.text).is_some() && is_close;
                let amount = number::last(&candidate.text, self.style).filter(|_| money)?;
                Some(Found::Number(amount.value, candidate.text))
            })
        });
        labelled.or_else(|| {
            let value = contract::value(&self.flow, self.style)?;
            Some(Found::Number(value, value.to_string()))
        })
    }

    fn seller(&self) -> Option<String> {
        // "From" and "von" begin sentences too, so only labels that stand apart count.
        self.labelled(Fact::Seller, Form::Name).or_else(|| {
            let buyer = self.labelled(Fact::Buyer, Form::Name);
            names::seller(&self.document, &self.index, buyer.as_deref())
        })
    }

    fn buyer(&self) -> Option<String> {
        self.labelled(Fact::Buyer, Form::Name).or_else(|| {
            let seller = self.seller()?;
            names::buyer(&self.document, &self.index, &seller)
        })
    }

    /// The VAT number of one side: the buyer's stands under a label of its own or below the
    /// buyer's name.
    fn vat(&self, of_buyer: bool) -> Option<String> {
        let own = self.vat_labelled(Fact::BuyerVat);
        if of_buyer {
            return own.map(|(_, text)| text);
        }
        let not_buyer = |text: &String| own.as_ref().is_none_or(|(_, other)| other != text);
        // A tax number may stand beside: only a VAT number has its country before it.
        let candidates = self.index.of(Fact::SellerVat);
        let mut candidates = candidates.flat_map(|hit| self.index.candidates(&self.document, hit));
        let formal = candidates.find_map(|candidate| code::vat_in(&candidate.text));
        let labelled =
            formal.or_else(|| self.index.of(Fact::SellerVat).find_map(|hit| self.vat_at(hit)));
        labelled
            .filter(not_buyer)
            .or_else(|| self.scan(code::vat_in).filter(not_buyer).filter(|vat| !self.is_iban(vat)))
    }

    fn vat_labelled(&self, fact: Fact) -> Option<(usize, String)> {
        self.index.of(fact).find_map(|hit| self.vat_at(hit).map(|text| (hit.row, text)))
    }

    fn vat_at(&self, hit: &Hit) -> Option<String> {
        self.index.candidates(&self.document, hit).into_iter().find_map(|candidate| {
            let text = candidate.text.as_str();
            code::vat_in(text).or_else(|| {
                let part = text.split([',', ';', '|', '·', '•']).next()?.trim();
                let digits = part.chars().filter(char::is_ascii_digit).count();
                let letters = part.chars().filter(|c| c.is_alphabetic()).count();
                let is_money =
                    number::only(part, self.style).is_some_and(|n| n.has_cents || n.is_percent);
                ((7..=14).contains(&digits) && letters <= 4 && !is_money).then(|| part.to_owned())
            })
        })
    }

    fn is_iban(&self, text: &str) -> bool {
        let iban = self.scan(code::iban_in);
        iban.is_some_and(|iban| iban.starts_with(text.get(..4).unwrap_or(text)))
    }

    /// Net, tax or total: of several candidates the one that adds up with the others.
    fn sum(&self, fact: Fact) -> Option<Found> {
        let own = self.amounts(fact);
        let best = |amounts: &[(usize, f64, String)]| amounts.first().map(|(_, value, _)| *value);
        if fact == Fact::Tax {
            let total = best(&self.amounts(Fact::Total));
            let net = best(&self.amounts(Fact::Net));
            if let (Some(total), Some(net)) = (total, net) {
                let missing = total - net;
                let fits = |value: f64| (value - missing).abs() < 0.011;
                let single = own.iter().find(|(_, value, _)| fits(*value));
                if let Some((_, value, text)) = single {
                    return Some(Found::Number(*value, text.clone()));
                }
                let rates: f64 = own.iter().map(|(_, value, _)| value).sum();
                if fits(rates) {
                    let sum = (rates * 100.0).round() / 100.0;
                    return Some(Found::Number(sum, format!("{sum:.2}")));
                }
            }
        }
        own.into_iter().next().map(|(_, value, text)| Found::Number(value, text))
    }

    /// The amounts beside the labels of a sum, the surest label first, the last row first.
    fn amounts(&self, fact: Fact) -> Vec<(usize, f64, String)> {
        let mut hits: Vec<&Hit> = self.index.of(fact).collect();
        hits.sort_by_key(|hit| (hit.rank, std::cmp::Reverse(hit.row)));
        let mut found: Vec<(usize, f64, String)> = Vec::new();
        for hit in hits {
            if found.iter().any(|(row, ..)| *row == hit.row) {
                continue;
            }
            let candidates = self.index.candidates(&self.document, hit);
            let beside = candidates.iter().filter(|candidate| candidate.row == hit.row);
            let below = candidates.iter().filter(|candidate| candidate.row != hit.row);
            let money = |candidate: &&Candidate| self.money(&candidate.text);
            let amount = beside
                .rev()
                .find_map(|c| money(&c))
                .or_else(|| below.rev().find_map(|c| money(&c)));
            found.extend(amount.map(|(value, text)| (hit.row, value, text)));
        }
        found
    }

    fn money(&self, text: &str) -> Option<(f64, String)> {
        let amount = number::last(text, self.style)?;
        let is_sound = amount.has_cents || number::only(text, self.style).is_some();
        let printed = text.get(amount.start..amount.end)?.to_owned();
        (is_sound && date::first(text, self.order).is_none()).then_some((amount.value, printed))
    }

    fn summary(&self) -> Option<String> {
        let title = names::title(&self.document, self.order)?;
        Some(format!("{}: {title}", names::kind(&self.document)))
    }
}

/// The first word with a figure, together with the words of figures that follow it.
fn id_in(text: &str) -> Option<String> {
    let text = text.trim_start_matches(['#', ':', '.', ' ', '-']);
    let mut taken: Vec<&str> = Vec::new();
    for token in text.split(' ').filter(|token| !token.is_empty()) {
        let has_digit = token.chars().any(|c| c.is_ascii_digit());
        let is_code = token.chars().all(|c| c.is_ascii_uppercase() || "/-#.".contains(c));
        if has_digit || (taken.is_empty() && is_code && token.len() <= 6) {
            taken.push(token);
        } else {
            break;
        }
    }
    let joined = taken.join(" ");
    let id = joined.trim_end_matches([',', ';', '.', ')', '|']).trim();
    (id.chars().any(|c| c.is_ascii_digit()) && id.len() <= 40).then(|| id.to_owned())
}

fn email_in(text: &str) -> Option<String> {
    let is_outside = |c: char| c.is_whitespace() || "<>(),;:|".contains(c);
    let is_email =
        |part: &&str| part.split_once('@').is_some_and(|(a, b)| !a.is_empty() && b.contains('.'));
    text.split(is_outside).find(is_email).map(str::to_owned)
}

/// Splits "Label: value" when the first part reads like a label.
fn split_pair(text: &str) -> Option<(String, String)> {
    let (label, value) = text.split_once(": ")?;
    let (label, value) = (label.trim(), value.trim());
    let is_label =
        !label.is_empty() && label.chars().count() <= 40 && fold(label).split(' ').count() <= 6;
    (is_label && !value.is_empty() && !label.contains(". "))
        .then(|| (label.to_owned(), value.to_owned()))
}
