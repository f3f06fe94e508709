//! Which term of an electronic invoice a property of a schema asks for.
//!
//! By the concept of the property, and by names that only invoices have a term for. It must know
//! nothing of values.

use crate::extract::{
    concept::{Concept, Kind, Property, Somebody, words},
    language::lines,
};
use serde_json::Value;
use shared::extraction::{PartyRole, Term, TermGroup};
use std::{collections::HashMap, sync::LazyLock};

/// `term name …`
const TERMS: &str = include_str!("../data/terms.txt");

/// Names of a whole address.
const ADDRESSES: [&str; 4] = ["address", "full_address", "postal_address", "street_address"];

/// Names of the number of an invoice that stand in nothing else.
const NUMBERS: [&str; 4] = ["no", "nr", "number", "nummer"];

/// A word of the name of a list of taxes.
const TAX_LISTS: [&str; 4] = ["tax", "taxes", "vat", "mwst"];

/// Where an invoice says what a property asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// In a term of the whole, or of the line or the tax that the property is in.
    Term(Term),
    /// In a term of a party.
    Party(PartyRole, Term),
    /// In the address of a party, as one text.
    Address(PartyRole),
    /// In the rate of its only tax.
    OnlyRate,
}

/// What a property asks for that is in an invoice, a line or a tax; `concept` is what its schema says it
/// is.
pub(super) fn binding(
    property: Property<'_>,
    group: TermGroup,
    concept: Option<Concept>,
) -> Option<Binding> {
    let own = words(property.name).join("_");
    match group {
        TermGroup::Tax => term(group, &own).map(Binding::Term),
        TermGroup::Line => {
            let concept = concept.or_else(|| Concept::of(property));
            let by_name = || term(group, &own);
            let by_concept = || of_line(concept?, &own);
            let described = (own == "description").then_some(Term::ItemName);
            by_name().or(described).or_else(by_concept).map(Binding::Term)
        }
        TermGroup::Header | TermGroup::Party => match concept {
            Some(concept) => of_concept(concept, None),
            None => of_header(property, &own),
        },
    }
}

fn of_header(property: Property<'_>, own: &str) -> Option<Binding> {
    if property.parents.is_empty() && NUMBERS.contains(&own) {
        return Some(Binding::Term(Term::InvoiceNumber));
    }
    let parent = property.parents.last().map(|name| words(name).join("_")).unwrap_or_default();
    let joined = format!("{parent}_{own}");
    let of_parent = Somebody::by_parents(property.parents).map(role);
    let of_name = Somebody::by_name(property.name).map(|(somebody, part)| (role(somebody), part));
    // What stands in `seller.bank` is not the seller's own, but what stands in `seller.address` is.
    let last = property.parents.last().map_or(&[][..], std::slice::from_ref);
    let is_direct = Somebody::by_parents(last).is_some() || ADDRESSES.contains(&parent.as_str());
    let name = if is_direct { own } else { &joined };
    let by_parent = of_parent.and_then(|role| part(role, name));
    let header = |name: &str| term(TermGroup::Header, name).map(Binding::Term);
    let by_name = || header(&joined).or_else(|| header(own).filter(|_| of_parent.is_none()));
    by_parent.or_else(by_name).or_else(|| {
        let whose = of_parent.or(of_name.as_ref().map(|(role, _)| *role));
        let by_part = of_name.filter(|_| of_parent.is_none()).and_then(|(role, name)| {
            let of_all = name.is_empty().then_some(Binding::Party(role, Term::Name));
            of_all.or_else(|| part(role, &name))
        });
        // A bare `number` or `date` is the document's only at the root.
        let is_bare =
            |concept: &Concept| matches!(concept, Concept::DocumentNumber | Concept::DocumentDate);
        let is_root = property.parents.is_empty();
        let concept = Concept::of(property).filter(|concept| is_root || !is_bare(concept));
        let by_concept = concept.and_then(|concept| of_concept(concept, whose));
        // A party is known more closely by its parts.
        match concept.is_some_and(|concept| concept.kind() == Kind::Party) {
            true => by_part.or(by_concept),
            false => by_concept.or(by_part),
        }
    })
}

fn role(somebody: Somebody) -> PartyRole {
    match somebody {
        Somebody::Seller => PartyRole::Seller,
        Somebody::Buyer => PartyRole::Buyer,
        Somebody::Recipient => PartyRole::Recipient,
    }
}

/// What a name says of a party.
fn part(role: PartyRole, name: &str) -> Option<Binding> {
    if ADDRESSES.contains(&name) {
        return Some(Binding::Address(role));
    }
    let rest = name.strip_prefix("address_").unwrap_or(name);
    let term = term(TermGroup::Party, name).or_else(|| term(TermGroup::Party, rest));
    term.map(|term| Binding::Party(role, term))
}

/// Where a concept stands; `whose` is the party that the property is about.
fn of_concept(concept: Concept, whose: Option<PartyRole>) -> Option<Binding> {
    use Binding::{Address, Party};
    let of = |term| Some(Party(whose.unwrap_or(PartyRole::Seller), term));
    // The account is the one to pay to.
    let to_pay = |term| (whose != Some(PartyRole::Buyer)).then_some(Binding::Term(term));
    let term = match concept {
        Concept::AccountHolder => return to_pay(Term::AccountName),
        Concept::Bank => return to_pay(Term::BankName),
        Concept::Bic => return to_pay(Term::Bic),
        Concept::Iban => return to_pay(Term::Iban),
        Concept::BuyerAddress => return Some(Address(PartyRole::Buyer)),
        Concept::SellerAddress => return Some(Address(PartyRole::Seller)),
        Concept::RecipientAddress => return Some(Address(PartyRole::Recipient)),
        Concept::BuyerName => return Some(Party(PartyRole::Buyer, Term::Name)),
        Concept::SellerName => return Some(Party(PartyRole::Seller, Term::Name)),
        Concept::RecipientName => return Some(Party(PartyRole::Recipient, Term::Name)),
        Concept::BuyerVatId => return Some(Party(PartyRole::Buyer, Term::VatId)),
        Concept::CustomerNumber => return Some(Party(PartyRole::Buyer, Term::PartyNumber)),
        Concept::SupplierNumber => return Some(Party(PartyRole::Seller, Term::PartyNumber)),
        Concept::Contact => return of(Term::ContactName),
        Concept::Email => return of(Term::Email),
        Concept::Phone => return of(Term::Phone),
        Concept::RegisterNumber => return of(Term::RegistrationNumber),
        Concept::TaxNumber => return of(Term::TaxNumber),
        Concept::VatId => return of(Term::VatId),
        Concept::Rate => return Some(Binding::OnlyRate),
        Concept::ContractNumber => Term::ContractReference,
        Concept::Currency => Term::Currency,
        Concept::Delivery => Term::DeliveryDate,
        Concept::DeliveryNoteNumber => Term::DeliveryNoteNumber,
        Concept::Due => Term::DueDate,
        Concept::Gross => Term::Gross,
        Concept::InvoiceNumber | Concept::DocumentNumber => Term::InvoiceNumber,
        Concept::Issue | Concept::DocumentDate => Term::IssueDate,
        Concept::LineSum => Term::LineTotal,
        Concept::Net => Term::Net,
        Concept::OrderDate => Term::OrderDate,
        Concept::OrderNumber => Term::OrderNumber,
        Concept::Paid => Term::Paid,
        Concept::Payable => Term::Due,
        Concept::PaymentMethod => Term::PaymentMeans,
        Concept::Tax => Term::Tax,
        Concept::TermEnd => Term::PeriodEnd,
        Concept::TermStart => Term::PeriodStart,
        Concept::Adjustment
        | Concept::ArticleNumber
        | Concept::BirthDate
        | Concept::Description
        | Concept::Ean
        | Concept::Jurisdiction
        | Concept::LineAmount
        | Concept::LineNumber
        | Concept::Notice
        | Concept::PartyName
        | Concept::Price
        | Concept::Quantity
        | Concept::Term
        | Concept::Title => return None,
    };
    Some(Binding::Term(term))
}

/// Where a concept stands in a line.
fn of_line(concept: Concept, own: &str) -> Option<Term> {
    Some(match concept {
        Concept::ArticleNumber => Term::SellerItemNumber,
        Concept::Currency => Term::Currency,
        Concept::Description => Term::ItemName,
        Concept::Ean => Term::StandardItemNumber,
        Concept::LineAmount | Concept::Net => Term::LineNet,
        Concept::LineNumber => Term::LineNumber,
        Concept::Price => Term::NetPrice,
        Concept::Quantity => Term::Quantity,
        Concept::Rate if !own.contains("discount") => Term::LineTaxRate,
        Concept::TermEnd => Term::LinePeriodEnd,
        Concept::TermStart => Term::LinePeriodStart,
        _ => return None,
    })
}

/// What the items of a list are of an invoice: by the name of the list, and by what they are asked for.
pub(super) fn items(parents: &[&str], list: &str, names: &[&str]) -> Option<TermGroup> {
    let of = |group: TermGroup| {
        let parents = [parents, &[list]].concat();
        let known = names.iter().filter(|name| {
            let property = Property { parents: &parents, name, is_item: true };
            binding(property, group, None).is_some()
        });
        known.count()
    };
    let list = words(list);
    if list.iter().any(|word| TAX_LISTS.contains(&word.as_str())) {
        return (of(TermGroup::Tax) > 0).then_some(TermGroup::Tax);
    }
    let has_amounts = names.iter().any(|name| {
        let property = Property { parents: &[], name, is_item: true };
        matches!(
            Concept::of(property),
            Some(Concept::Quantity | Concept::Price | Concept::LineAmount)
        )
    });
    (has_amounts && of(TermGroup::Line) > 1).then_some(TermGroup::Line)
}

/// Whether a property of a line is for the name of what was sold, and not for any description of it.
pub(super) fn is_item_name(name: &str) -> bool {
    term(TermGroup::Line, &words(name).join("_")) == Some(Term::ItemName)
}

/// Whether a number of this name counts the lines.
pub(super) fn counts_lines(name: &str) -> bool {
    let name = words(name).join("_");
    matches!(
        name.as_str(),
        "item_count"
            | "items"
            | "line_count"
            | "line_items"
            | "lines"
            | "number_of_lines"
            | "positions"
    )
}

/// Whether EN 16931 has a place for it: what it does not say then, the invoice does not say.
pub(super) fn is_covered(term: Term) -> bool {
    !matches!(term, Term::BankName | Term::OrderDate | Term::PaymentMeans)
}

/// Whether it is a code that is not printed as such.
pub(super) fn is_code(term: Term) -> bool {
    matches!(
        term,
        Term::Country | Term::LineTaxCategory | Term::TaxCategory | Term::TypeCode | Term::Unit
    )
}

fn term(group: TermGroup, name: &str) -> Option<Term> {
    NAMES.get(&(group, name)).copied()
}

static NAMES: LazyLock<HashMap<(TermGroup, &str), Term>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for (term, known) in lines(TERMS).filter_map(|line| line.split_once(' ')) {
        let Ok(term) = serde_json::from_value::<Term>(Value::from(term)) else { continue };
        names.extend(known.split(' ').map(|name| ((term.group(), name), term)));
    }
    names
});

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<Binding> {
        let mut names: Vec<_> = path.split('.').collect();
        let name = names.pop().unwrap();
        let group = match names.first() {
            Some(&"lines") => TermGroup::Line,
            Some(&"taxes") => TermGroup::Tax,
            _ => TermGroup::Header,
        };
        let is_item = group != TermGroup::Header;
        binding(Property { parents: &names, name, is_item }, group, None)
    }

    #[test]
    fn a_property_asks_for_a_term() {
        use Binding::{Address, OnlyRate, Party, Term as Of};
        use PartyRole::{Buyer, Recipient, Seller};
        for (path, expected) in [
            ("invoice_number", Some(Of(Term::InvoiceNumber))),
            ("invoice.number", Some(Of(Term::InvoiceNumber))),
            ("number", Some(Of(Term::InvoiceNumber))),
            ("shipment.number", None),
            ("issueDate", Some(Of(Term::IssueDate))),
            ("seller", Some(Party(Seller, Term::Name))),
            ("seller.name", Some(Party(Seller, Term::Name))),
            ("vendorName", Some(Party(Seller, Term::Name))),
            ("vat_id", Some(Party(Seller, Term::VatId))),
            ("customer.vat_id", Some(Party(Buyer, Term::VatId))),
            ("buyer_vat_id", Some(Party(Buyer, Term::VatId))),
            ("buyer.address", Some(Address(Buyer))),
            ("seller_address", Some(Address(Seller))),
            ("buyer.address.city", Some(Party(Buyer, Term::City))),
            ("buyer_city", Some(Party(Buyer, Term::City))),
            ("seller.street", Some(Party(Seller, Term::AddressLine1))),
            ("seller_street", Some(Party(Seller, Term::AddressLine1))),
            ("seller_address_city", Some(Party(Seller, Term::City))),
            ("supplier.phone", Some(Party(Seller, Term::Phone))),
            ("customer_number", Some(Party(Buyer, Term::PartyNumber))),
            ("customer.number", Some(Party(Buyer, Term::PartyNumber))),
            ("ship_to", None),
            ("recipient.zip", Some(Party(Recipient, Term::Postcode))),
            ("customer_order_number", Some(Of(Term::OrderNumber))),
            ("seller.bank.iban", Some(Of(Term::Iban))),
            ("seller.bank.name", Some(Of(Term::BankName))),
            ("seller.contact.name", Some(Party(Seller, Term::ContactName))),
            ("company_number", Some(Party(Seller, Term::RegistrationNumber))),
            ("payer_iban", None),
            ("buyer.iban", None),
            ("buyer_reference", Some(Of(Term::BuyerReference))),
            ("payment.terms", Some(Of(Term::PaymentTerms))),
            ("totals.net", Some(Of(Term::Net))),
            ("tax_total", Some(Of(Term::Tax))),
            ("grand_total", Some(Of(Term::Gross))),
            ("amount_due", Some(Of(Term::Due))),
            ("vat_rate", Some(OnlyRate)),
            ("shipping_cost", None),
            ("color", None),
            ("name", None),
            ("city", None),
            ("lines.description", Some(Of(Term::ItemName))),
            ("lines.unit_price", Some(Of(Term::NetPrice))),
            ("lines.amount", Some(Of(Term::LineNet))),
            ("lines.unit", Some(Of(Term::Unit))),
            ("lines.vat_rate", Some(Of(Term::LineTaxRate))),
            ("lines.discount_rate", None),
            ("lines.color", None),
            ("taxes.rate", Some(Of(Term::TaxRate))),
            ("taxes.amount", Some(Of(Term::TaxAmount))),
            ("taxes.base", Some(Of(Term::TaxBase))),
        ] {
            assert_eq!(of(path), expected, "{path}");
        }
    }

    #[test]
    fn lists_are_of_lines_or_of_taxes_by_what_is_asked_of_their_items() {
        let check = |list: &str, names: &[&str], expected| {
            assert_eq!(items(&[], list, names), expected, "{list} {names:?}");
        };
        check("lines", &["description", "quantity"], Some(TermGroup::Line));
        check("whatever", &["name", "price", "color"], Some(TermGroup::Line));
        check("vat_breakdown", &["rate", "amount"], Some(TermGroup::Tax));
        check("parties", &["name", "role"], None);
        check("fields", &["label", "value"], None);
        check("payments", &["date", "amount"], None);
    }

    #[test]
    fn the_file_is_sorted_and_names_known_terms() {
        assert!(lines(TERMS).is_sorted());
        for line in lines(TERMS) {
            let (term, names) = line.split_once(' ').unwrap();
            serde_json::from_value::<Term>(Value::from(term)).unwrap();
            assert!(names.split(' ').collect::<Vec<_>>().is_sorted(), "{line}");
        }
        let names = lines(TERMS).map(|line| line.split(' ').count() - 1).sum::<usize>();
        assert_eq!(NAMES.len(), names, "a name stands twice in one group");
    }
}
