//! Electronic invoices: the business terms of EN 16931-1 in XML by UN/CEFACT CII (Factur-X, ZUGFeRD 1
//! and 2, XRechnung) or UBL 2.1 (XRechnung, Peppol).
//!
//! Told by their content, never by their name. It must know nothing of what carries the XML, nor of
//! what is asked of a document.

mod element;
mod term;

pub use term::{Term, TermGroup};

use crate::charset;
use element::Element;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use term::{BINDINGS, Form};

/// The largest file that is looked into for an invoice, in bytes: what is attached to an invoice may
/// stand in its XML.
pub(crate) const BYTES_MAX: usize = 16 << 20;

/// The longest number, in characters.
const NUMBER_CHARS_MAX: usize = 40;

/// The most faults that are told.
const FAULTS_MAX: usize = 5;

/// Long names of CII, and those of ZUGFeRD 1, as the paths of [`term`] have them.
const ALIASES: [(&str, &str); 20] = [
    ("ApplicableHeaderTradeAgreement", "Agreement"),
    ("ApplicableHeaderTradeDelivery", "Delivery"),
    ("ApplicableHeaderTradeSettlement", "Settlement"),
    ("ApplicablePercent", "RateApplicablePercent"),
    ("ApplicableSupplyChainTradeAgreement", "Agreement"),
    ("ApplicableSupplyChainTradeDelivery", "Delivery"),
    ("ApplicableSupplyChainTradeSettlement", "Settlement"),
    ("HeaderExchangedDocument", "ExchangedDocument"),
    ("SpecifiedExchangedDocumentContext", "ExchangedDocumentContext"),
    ("SpecifiedLineTradeAgreement", "LineAgreement"),
    ("SpecifiedLineTradeDelivery", "LineDelivery"),
    ("SpecifiedLineTradeSettlement", "LineSettlement"),
    ("SpecifiedSupplyChainTradeAgreement", "LineAgreement"),
    ("SpecifiedSupplyChainTradeDelivery", "LineDelivery"),
    ("SpecifiedSupplyChainTradeSettlement", "LineSettlement"),
    ("SpecifiedSupplyChainTradeTransaction", "Transaction"),
    ("SpecifiedTradeSettlementHeaderMonetarySummation", "Totals"),
    ("SpecifiedTradeSettlementLineMonetarySummation", "Totals"),
    ("SpecifiedTradeSettlementMonetarySummation", "Totals"),
    ("SupplyChainTradeTransaction", "Transaction"),
];

/// Values by their term. A term without a value is not there.
pub type Terms = BTreeMap<Term, String>;

/// An electronic invoice. Days are ISO 8601, numbers are plain decimals, texts are as they stand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EInvoice {
    /// The name of the file that carries it; empty where that is the document itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// In which language it is written.
    pub syntax: Syntax,
    /// Its rules, as it names them (BT-24).
    #[serde(default)]
    pub profile: String,
    /// What is said of the whole.
    pub header: Terms,
    /// Who takes part.
    #[serde(default)]
    pub parties: BTreeMap<PartyRole, Terms>,
    /// Its lines (BG-25).
    #[serde(default)]
    pub lines: Vec<Terms>,
    /// Its taxes by rate (BG-23).
    #[serde(default)]
    pub taxes: Vec<Terms>,
    /// Values that are not in the form that they must have, and are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// The language of an electronic invoice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Syntax {
    /// UN/CEFACT Cross Industry Invoice, as Factur-X and ZUGFeRD have it.
    #[default]
    Cii,
    /// OASIS Universal Business Language, as Peppol has it.
    Ubl,
}

/// What a party has to do with an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyRole {
    /// BG-4.
    Seller,
    /// BG-7.
    Buyer,
    /// BG-10: to whom it is paid, where that is not the seller.
    Payee,
    /// BG-13: to whom it was delivered.
    Recipient,
}

/// Where the parties stand: in CII, and in UBL.
const PARTIES: [(PartyRole, &str, &str); 4] = [
    (PartyRole::Seller, "Transaction/Agreement/SellerTradeParty", "AccountingSupplierParty/Party"),
    (PartyRole::Buyer, "Transaction/Agreement/BuyerTradeParty", "AccountingCustomerParty/Party"),
    (PartyRole::Payee, "Transaction/Settlement/PayeeTradeParty", "PayeeParty"),
    (PartyRole::Recipient, "Transaction/Delivery/ShipToTradeParty", "Delivery"),
];

impl EInvoice {
    /// The invoice that these bytes are; none where they are something else.
    ///
    /// # Errors
    /// Why an invoice, or what begins like one, is not read.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, String> {
        if bytes.len() > BYTES_MAX {
            return Ok(None);
        }
        match charset::decode(bytes, None) {
            Some(xml) => Self::of_xml(&xml),
            None => Ok(None),
        }
    }

    /// The same of text.
    pub(crate) fn of_xml(xml: &str) -> Result<Option<Self>, String> {
        let xml = xml.trim_start_matches('\u{feff}').trim_start();
        // Neither is any other XML looked into further, however odd it is.
        let is_about =
            ["CrossIndustryInvoice", "CrossIndustryDocument", "oasis:names:specification:ubl"]
                .iter()
                .any(|name| xml.contains(name));
        if !xml.starts_with('<') || !is_about {
            return Ok(None);
        }
        let mut root = element::parse(xml)?;
        // Peppol puts an envelope around it.
        if root.name == "StandardBusinessDocument" {
            let inner = root.children.into_iter().find(|child| syntax(child).is_some());
            root = inner.unwrap_or_default();
        }
        Ok(syntax(&root).map(|syntax| {
            if syntax == Syntax::Cii {
                rename(&mut root);
            }
            Binder { syntax, currency: None, faults: BTreeSet::new() }.invoice(&root)
        }))
    }

    /// Its number (BT-1), by which it is known.
    pub fn number(&self) -> Option<&str> {
        self.header.get(&Term::InvoiceNumber).map(String::as_str)
    }

    /// Whether its rules allow no lines: the profiles MINIMUM and BASIC WL of Factur-X.
    pub fn is_without_lines(&self) -> bool {
        let profile = self.profile.to_ascii_lowercase();
        self.lines.is_empty() && ["minimum", "basicwl"].iter().any(|end| profile.ends_with(end))
    }
}

/// In which language this is an invoice.
fn syntax(root: &Element) -> Option<Syntax> {
    let is_of = |part: &str| root.attributes.iter().any(|(_, value)| value.contains(part));
    match root.name.as_str() {
        "CrossIndustryInvoice" if is_of("CrossIndustryInvoice") => Some(Syntax::Cii),
        "CrossIndustryDocument" if is_of("CrossIndustryDocument") => Some(Syntax::Cii),
        "Invoice" if is_of("ubl:schema:xsd:Invoice-2") => Some(Syntax::Ubl),
        "CreditNote" if is_of("ubl:schema:xsd:CreditNote-2") => Some(Syntax::Ubl),
        _ => None,
    }
}

fn rename(element: &mut Element) {
    if let Ok(at) = ALIASES.binary_search_by_key(&element.name.as_str(), |(name, _)| name) {
        element.name = ALIASES.get(at).map(|(_, alias)| (*alias).to_owned()).unwrap_or_default();
    }
    element.children.iter_mut().for_each(rename);
}

/// Finds the terms in the elements.
struct Binder {
    syntax: Syntax,
    /// The currency of the invoice, once it is known.
    currency: Option<String>,
    faults: BTreeSet<String>,
}

impl Binder {
    fn invoice(mut self, root: &Element) -> EInvoice {
        let syntax = self.syntax;
        let of = |cii, ubl| if syntax == Syntax::Cii { cii } else { ubl };
        let profile = "ExchangedDocumentContext/GuidelineSpecifiedDocumentContextParameter/ID";
        let profile = root.select(of(profile, "CustomizationID")).first().map(|id| id.text.clone());
        let currency = of("Transaction/Settlement/InvoiceCurrencyCode", "DocumentCurrencyCode");
        self.currency = root.select(currency).first().map(|currency| currency.text.clone());
        let mut header = self.terms(root, TermGroup::Header);
        self.due(&mut header);
        let mut parties = BTreeMap::new();
        for (role, cii, ubl) in PARTIES {
            let party = root.select(of(cii, ubl));
            let terms = party.first().map(|party| self.terms(party, TermGroup::Party));
            parties.extend(terms.filter(|terms| !terms.is_empty()).map(|terms| (role, terms)));
        }
        let mut lines = Vec::new();
        for path in
            of("Transaction/IncludedSupplyChainTradeLineItem", "InvoiceLine | CreditNoteLine")
                .split(" | ")
        {
            let found = root.select(path).into_iter().filter(|line| is_counted(line));
            lines.extend(found.map(|line| self.terms(line, TermGroup::Line)));
        }
        let taxes =
            root.select(of("Transaction/Settlement/ApplicableTradeTax", "TaxTotal/TaxSubtotal"));
        let taxes = taxes.into_iter().map(|tax| self.terms(tax, TermGroup::Tax)).collect();
        let faults = self.faults.into_iter().take(FAULTS_MAX).collect();
        let profile = profile.unwrap_or_default();
        EInvoice { file: String::new(), syntax, profile, header, parties, lines, taxes, faults }
    }

    /// Without anything paid before, the sum with tax is what is due, said or not (BR-CO-16).
    fn due(&self, header: &mut Terms) {
        let is_plain = ![Term::Paid, Term::Rounding].iter().any(|term| header.contains_key(term));
        if let Some(gross) = header.get(&Term::Gross).filter(|_| is_plain).cloned() {
            header.entry(Term::Due).or_insert(gross);
        }
    }

    fn terms(&mut self, element: &Element, group: TermGroup) -> Terms {
        let bindings = BINDINGS.iter().filter(|binding| binding.term.group() == group);
        let mut terms = Terms::new();
        for binding in bindings {
            let paths = if self.syntax == Syntax::Cii { binding.cii } else { binding.ubl };
            let value = paths.split(" | ").find_map(|path| self.value(element, path, binding.form));
            terms.extend(value.map(|value| (binding.term, value)));
        }
        terms
    }

    fn value(&mut self, element: &Element, path: &str, form: Form) -> Option<String> {
        if let Some((path, attribute)) = path.split_once("/@") {
            let found = element.select(path).into_iter();
            let mut values = found.filter_map(|found| found.attribute(attribute));
            return values.find(|value| !value.is_empty()).map(str::to_owned);
        }
        let found = element.select(path).into_iter().filter(|found| !found.text.is_empty());
        let mut found: Vec<_> = found.collect();
        // A sort that keeps the order of what is alike.
        found.sort_by_key(|found| {
            form == Form::Number && found.attribute("currencyID") != self.currency.as_deref()
        });
        match form {
            Form::Text => found.first().map(|found| found.text.clone()),
            Form::Texts => {
                let texts: Vec<_> = found.iter().map(|found| found.text.as_str()).collect();
                (!texts.is_empty()).then(|| texts.join("\n"))
            }
            Form::Number => self.checked(found.first()?, |found| number(&found.text)),
            Form::Date => self.checked(found.first()?, day),
            Form::LastDate => found.iter().filter_map(|found| self.checked(found, day)).max(),
        }
    }

    fn checked(
        &mut self,
        element: &Element,
        read: impl Fn(&Element) -> Option<String>,
    ) -> Option<String> {
        let value = read(element);
        if value.is_none() {
            let shown: String = element.text.chars().take(NUMBER_CHARS_MAX).collect();
            self.faults.insert(format!("{}: {shown:?}", element.name));
        }
        value
    }
}

/// Whether a line counts: those that sum others up, or only inform, do not (the extended profile of
/// Factur-X).
fn is_counted(line: &Element) -> bool {
    let status = line.select("AssociatedDocumentLineDocument/LineStatusReasonCode");
    !status.iter().any(|status| matches!(status.text.as_str(), "GROUP" | "INFORMATION"))
}

/// `xs:decimal`: a sign, digits, and a point.
fn number(text: &str) -> Option<String> {
    let digits = text.trim_start_matches(['-', '+']);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let is_number = are_digits(whole)
        && are_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && text.len() - digits.len() <= 1
        && text.len() <= NUMBER_CHARS_MAX;
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if text.starts_with('-') { "-" } else { "" };
    is_number.then(|| format!("{sign}{whole}{point}{fraction}"))
}

/// A day: `20240305` (UNTDID 2379: 102, and 203 and 204 with a time), or ISO 8601 with a time or a
/// zone behind it or not.
fn day(element: &Element) -> Option<String> {
    let text = element.text.as_str();
    let digits = match element.attribute("format") {
        Some("102" | "203" | "204") => text.get(..8)?.to_owned(),
        None if text.len() == 8 => text.to_owned(),
        None => {
            let day = text.get(..10)?;
            let rest = text.get(10..)?;
            let is_end = rest.is_empty() || rest.starts_with(['T', 'Z', '+', '-']);
            let is_iso = day.get(4..5) == Some("-") && day.get(7..8) == Some("-");
            (is_end && is_iso).then(|| day.replace('-', ""))?
        }
        Some(_) => return None,
    };
    let part = |place: std::ops::Range<usize>| digits.get(place)?.parse::<u32>().ok();
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    let is_day = digits.len() == 8
        && digits.bytes().all(|c| c.is_ascii_digit())
        && year > 0
        && (1..=days).contains(&day);
    is_day.then(|| format!("{year:04}-{month:02}-{day:02}"))
}

#[cfg(test)]
mod tests;
