//! What a property of a schema holds, as far as its name and its description tell: the business
//! concepts of invoices, orders, receipts and contracts.
//!
//! It must know nothing of values and of documents.

use super::language::lines;
use std::{collections::HashMap, sync::LazyLock};

/// `concept name …`
const CONCEPTS: &str = include_str!("data/concepts.txt");

/// `party name …`
const PARTIES: &str = include_str!("data/parties.txt");

/// Which values can be taken for each other: a printed name of one concept contradicts the others
/// of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number or a code that names one thing.
    Identifier,
    /// A day.
    Date,
    /// An amount, a quantity, a price or a rate.
    Figure,
    /// The name or the address of somebody.
    Party,
    /// A currency.
    Currency,
    /// Words.
    Text,
}

macro_rules! concepts {
    ($($(#[$about:meta])* $name:ident $key:literal $kind:ident,)*) => {
        /// What a value is in business. The order is that of their names in schemas.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Concept { $($(#[$about])* $name,)* }

        impl Concept {
            /// Every concept with its name in `x-sluice.concept` and in the data files.
            pub const ALL: &'static [(&'static str, Self)] = &[$(($key, Self::$name),)*];

            /// What it can be taken for.
            pub fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }
        }
    };
}

concepts! {
    /// Whose bank account it is.
    AccountHolder "account_holder" Party,
    /// What is added to or taken from a sum, such as freight and discounts.
    Adjustment "adjustment" Figure,
    /// The number of an article.
    ArticleNumber "article_number" Identifier,
    /// The name of a bank.
    Bank "bank" Party,
    /// The code of a bank, ISO 9362.
    Bic "bic" Identifier,
    /// The day on which somebody was born.
    BirthDate "birth_date" Date,
    /// The address of the buyer.
    BuyerAddress "buyer_address" Party,
    /// The name of the buyer.
    BuyerName "buyer_name" Party,
    /// The VAT number of the buyer.
    BuyerVatId "buyer_vat_id" Identifier,
    /// The name of somebody to talk to.
    Contact "contact" Party,
    /// The number of a contract.
    ContractNumber "contract_number" Identifier,
    /// A currency.
    Currency "currency" Currency,
    /// The number that the seller gave to the buyer.
    CustomerNumber "customer_number" Identifier,
    /// The day of a delivery or of a service.
    Delivery "delivery" Date,
    /// The number of a delivery note.
    DeliveryNoteNumber "delivery_note_number" Identifier,
    /// What is sold.
    Description "description" Text,
    /// The day that a document bears.
    DocumentDate "document_date" Date,
    /// The number that a document bears.
    DocumentNumber "document_number" Identifier,
    /// The day by which something is to be paid.
    Due "due" Date,
    /// The number of an article by GS1.
    Ean "ean" Identifier,
    /// A mail address.
    Email "email" Identifier,
    /// The sum with tax.
    Gross "gross" Figure,
    /// The number of an account, ISO 13616.
    Iban "iban" Identifier,
    /// The number of an invoice, of a receipt or of a credit note.
    InvoiceNumber "invoice_number" Identifier,
    /// The day on which a document was issued.
    Issue "issue" Date,
    /// The law that governs a contract.
    Jurisdiction "jurisdiction" Text,
    /// The amount of one item.
    LineAmount "line_amount" Figure,
    /// The position of an item.
    LineNumber "line_number" Figure,
    /// The sum of the items, before what is added or taken.
    LineSum "line_sum" Figure,
    /// The sum without tax.
    Net "net" Figure,
    /// How long before its end notice of a contract must be given.
    Notice "notice" Text,
    /// The day of an order.
    OrderDate "order_date" Date,
    /// The number of an order.
    OrderNumber "order_number" Identifier,
    /// What was paid already.
    Paid "paid" Figure,
    /// What remains to be paid.
    Payable "payable" Figure,
    /// How something is paid.
    PaymentMethod "payment_method" Text,
    /// Who concludes a contract.
    PartyName "party_name" Party,
    /// A telephone or fax number.
    Phone "phone" Identifier,
    /// The price of one.
    Price "price" Figure,
    /// How many.
    Quantity "quantity" Figure,
    /// The share of a tax or of a discount.
    Rate "rate" Figure,
    /// The address to which something is delivered.
    RecipientAddress "recipient_address" Party,
    /// The name of who receives a delivery.
    RecipientName "recipient_name" Party,
    /// The number of a company in a register.
    RegisterNumber "register_number" Identifier,
    /// The address of the seller.
    SellerAddress "seller_address" Party,
    /// The name of the seller.
    SellerName "seller_name" Party,
    /// The number that the buyer gave to the seller.
    SupplierNumber "supplier_number" Identifier,
    /// The amount of a tax.
    Tax "tax" Figure,
    /// A number that a tax office gave.
    TaxNumber "tax_number" Identifier,
    /// How long a contract lasts.
    Term "term" Text,
    /// The day on which something ends.
    TermEnd "term_end" Date,
    /// The day on which something begins.
    TermStart "term_start" Date,
    /// The heading of a document.
    Title "title" Text,
    /// A VAT number; of the seller where nothing else is said.
    VatId "vat_id" Identifier,
}

/// Somebody whose values stand beside each other in a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Somebody {
    /// Who sells.
    Seller,
    /// Who buys.
    Buyer,
    /// To whom something is delivered.
    Recipient,
}

impl Somebody {
    /// Whom a property is about, by an object that it is in.
    pub fn by_parents(parents: &[&str]) -> Option<Self> {
        parents.iter().rev().find_map(|name| match &words(name)[..] {
            [word] => SOMEBODY.get(word.as_str()).copied(),
            _ => None,
        })
    }

    /// Whom a property is about by its first word, and the other words.
    pub fn by_name(name: &str) -> Option<(Self, String)> {
        let words = words(name);
        let (first, rest) = words.split_first()?;
        Some((*SOMEBODY.get(first.as_str())?, rest.join("_")))
    }
}

/// Where a property stands in its schema.
#[derive(Clone, Copy, Debug, Default)]
pub struct Property<'a> {
    /// The names of the objects and lists that it is in, the outermost first.
    pub parents: &'a [&'a str],
    /// Its own name.
    pub name: &'a str,
    /// Whether it belongs to an item of a list.
    pub is_item: bool,
}

impl Concept {
    /// By its name in `x-sluice.concept`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, concept)| *concept)
    }

    /// What a property holds by its name, with the name of what it is in where both make one: `invoice_number`, `invoice.number`, `supplier.vatId`.
    pub fn of(property: Property<'_>) -> Option<Self> {
        let own = words(property.name);
        let parents = property.parents.iter().rev().map(|name| words(name));
        let somebody = Somebody::by_parents(property.parents);
        let joined = || {
            let parent = parents.clone().next().unwrap_or_default();
            parent.into_iter().chain(own.iter().cloned()).collect::<Vec<_>>().join("_")
        };
        let is_item = property.is_item;
        somebody
            .and_then(|somebody| of_somebody(somebody, &own.join("_")))
            .or_else(|| if is_item { None } else { by_name(&joined(), false) })
            .or_else(|| by_name(&own.join("_"), is_item))
            .or_else(|| {
                let (somebody, part) = Somebody::by_name(property.name)?;
                of_somebody(somebody, &part)
            })
            .or_else(|| of_code(&own))
    }

    /// Whether it is of one item of a list, and of nothing else.
    pub fn is_of_item(self) -> bool {
        matches!(
            self,
            Self::ArticleNumber
                | Self::Description
                | Self::LineAmount
                | Self::LineNumber
                | Self::Price
                | Self::Quantity
        )
    }

    /// What a name of this one supports less surely: a sum that is to be paid is mostly the sum with
    /// tax.
    pub fn tolerates(self, printed: Self) -> bool {
        use Concept as C;
        let tolerated: &[Self] = match self {
            C::BuyerName => &[C::RecipientName, C::PartyName],
            C::DocumentDate => &[C::Issue, C::OrderDate, C::TermStart],
            C::DocumentNumber => {
                &[C::InvoiceNumber, C::OrderNumber, C::DeliveryNoteNumber, C::ContractNumber]
            }
            C::Gross => &[C::Payable],
            C::InvoiceNumber => &[C::DocumentNumber],
            C::Issue => &[C::DocumentDate],
            C::LineAmount => &[C::Net, C::Gross, C::LineSum],
            C::LineSum => &[C::Net],
            C::Net => &[C::LineSum],
            C::PartyName => &[C::SellerName, C::BuyerName, C::RecipientName],
            C::Payable => &[C::Gross],
            C::RecipientName => &[C::BuyerName],
            C::SellerName => &[C::AccountHolder, C::PartyName],
            C::TaxNumber => &[C::VatId],
            C::TermStart => &[C::Issue, C::DocumentDate],
            _ => &[],
        };
        tolerated.contains(&printed)
    }

    /// The concept under whose names it stands: a name and an address are in one block.
    pub fn printed(self) -> Self {
        match self {
            Self::SellerAddress => Self::SellerName,
            Self::BuyerAddress => Self::BuyerName,
            Self::RecipientAddress => Self::RecipientName,
            other => other,
        }
    }

    /// The day on which what has this number was made.
    pub fn day_of(self) -> Option<Self> {
        match self {
            Self::InvoiceNumber => Some(Self::Issue),
            Self::OrderNumber => Some(Self::OrderDate),
            Self::DeliveryNoteNumber => Some(Self::Delivery),
            Self::ContractNumber => Some(Self::TermStart),
            _ => None,
        }
    }

    /// Whether a document cannot have one value for both.
    pub fn cannot_equal(self, other: Self) -> bool {
        let is_pair = |a, b| (self, other) == (a, b) || (self, other) == (b, a);
        match (self.kind(), other.kind()) {
            (Kind::Identifier, Kind::Identifier) => {
                self != other && !self.tolerates(other) && !other.tolerates(self)
            }
            (Kind::Figure, Kind::Figure) => {
                is_pair(Self::Tax, Self::Gross) || is_pair(Self::Tax, Self::Payable)
            }
            (Kind::Party, Kind::Party) => {
                is_pair(Self::SellerName, Self::BuyerName)
                    || is_pair(Self::SellerAddress, Self::BuyerAddress)
            }
            _ => false,
        }
    }

    /// Whether a name of it is a part of a property's.
    pub fn is_part_of(self, property: &str) -> bool {
        let words = format!("_{}_", words(property).join("_"));
        let names = NAMES.iter().filter(|(_, concepts)| concepts.contains(&self));
        names.into_iter().any(|(name, _)| words.contains(&format!("_{name}_")))
    }
}

/// What is printed of somebody: `name` of the seller, `vat_id` of the buyer.
fn of_somebody(somebody: Somebody, part: &str) -> Option<Concept> {
    use Somebody::{Buyer, Recipient, Seller};
    let concept = match (part, somebody) {
        ("" | "name" | "company" | "company_name" | "organization", Seller) => Concept::SellerName,
        ("" | "name" | "company" | "company_name" | "organization", Buyer) => Concept::BuyerName,
        ("" | "name" | "company" | "company_name" | "organization", Recipient) => {
            Concept::RecipientName
        }
        ("address" | "street" | "city" | "postal_address", Seller) => Concept::SellerAddress,
        ("address" | "street" | "city" | "postal_address", Buyer) => Concept::BuyerAddress,
        ("address" | "street" | "city" | "postal_address", Recipient) => Concept::RecipientAddress,
        ("number" | "no" | "id", Buyer) => Concept::CustomerNumber,
        ("number" | "no" | "id", Seller) => Concept::SupplierNumber,
        (part, somebody) => match (by_name(part, false), somebody) {
            (Some(Concept::VatId), Buyer) => Concept::BuyerVatId,
            (Some(concept), _) if concept.kind() == Kind::Identifier => concept,
            _ => return None,
        },
    };
    Some(concept)
}

/// A name may be of an item in a list, and of the whole document elsewhere.
fn by_name(name: &str, is_item: bool) -> Option<Concept> {
    let concepts = NAMES.get(name)?;
    let fits = concepts.iter().find(|concept| concept.is_of_item() == is_item);
    fits.or(concepts.first()).copied()
}

/// A code shows in any part of a name: `payer_iban`.
fn of_code(own: &[String]) -> Option<Concept> {
    let codes = [Concept::VatId, Concept::Iban, Concept::Bic, Concept::Ean];
    let name = own.join("_");
    codes.into_iter().find(|code| code.is_part_of(&name))
}

static NAMES: LazyLock<HashMap<&str, Vec<Concept>>> = LazyLock::new(|| {
    let mut names: HashMap<_, Vec<_>> = HashMap::new();
    for (concept, known) in lines(CONCEPTS).filter_map(|line| line.split_once(' ')) {
        for name in known.split(' ') {
            names.entry(name).or_default().extend(Concept::named(concept));
        }
    }
    names
});

static SOMEBODY: LazyLock<HashMap<&str, Somebody>> = LazyLock::new(|| {
    let parties = lines(PARTIES).filter_map(|line| line.split_once(' '));
    let named = parties.flat_map(|(party, names)| {
        let party = match party {
            "buyer" => Somebody::Buyer,
            "recipient" => Somebody::Recipient,
            _ => Somebody::Seller,
        };
        names.split(' ').map(move |name| (name, party))
    });
    named.collect()
});

/// The words of a name in any of the usual ways: `unit_price`, `unitPrice`, `Unit price`.
pub fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in name.chars() {
        let is_border = !c.is_alphanumeric() || c.is_uppercase() && was_small;
        if is_border && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        was_small = c.is_lowercase() || c.is_numeric();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn of(path: &str) -> Option<Concept> {
        let mut names: Vec<_> = path.split('.').collect();
        let name = names.pop().unwrap();
        let is_item = names.iter().any(|name| name.ends_with("[]"));
        let parents: Vec<_> = names.iter().map(|name| name.trim_end_matches("[]")).collect();
        Concept::of(Property { parents: &parents, name, is_item })
    }

    #[test]
    fn a_property_is_known_by_its_name() {
        for (path, expected) in [
            ("unitPrice", Some(Concept::Price)),
            ("Unit price", Some(Concept::Price)),
            ("old_price", None),
            ("invoice_number", Some(Concept::InvoiceNumber)),
            ("invoice.number", Some(Concept::InvoiceNumber)),
            ("order.date", Some(Concept::OrderDate)),
            ("customer_number", Some(Concept::CustomerNumber)),
            ("customer.number", Some(Concept::CustomerNumber)),
            ("customer", Some(Concept::BuyerName)),
            ("supplier.name", Some(Concept::SellerName)),
            ("supplierVatId", Some(Concept::VatId)),
            ("buyer.vat_id", Some(Concept::BuyerVatId)),
            ("seller_IBAN", Some(Concept::Iban)),
            ("payer_iban", Some(Concept::Iban)),
            ("librarian", None),
            ("date", Some(Concept::DocumentDate)),
            ("total", Some(Concept::Gross)),
            ("lines[].total", Some(Concept::LineAmount)),
            ("lines[].vat_rate", Some(Concept::Rate)),
            ("lines[].amount", Some(Concept::LineAmount)),
            ("grand_total", Some(Concept::Gross)),
        ] {
            assert_eq!(of(path), expected, "{path}");
        }
    }

    #[test]
    fn the_files_are_sorted_and_name_every_concept() {
        let keys: Vec<_> = Concept::ALL.iter().map(|(key, _)| *key).collect();
        let all: Vec<_> = lines(CONCEPTS).collect();
        let concepts: BTreeSet<_> = all.iter().filter_map(|line| line.split(' ').next()).collect();
        let others = concepts.iter().filter(|key| Concept::named(key).is_none());
        assert_eq!(others.collect::<Vec<_>>(), [&""; 0]);
        let parties = ["account_holder", "bank", "buyer_vat_id", "contact"];
        let unnamed = keys.iter().filter(|key| !concepts.contains(**key));
        let unnamed: Vec<_> = unnamed.filter(|key| !parties.contains(key)).collect();
        assert!(unnamed.iter().all(|key| key.ends_with("_name") || key.ends_with("_address")));
        assert!(lines(CONCEPTS).is_sorted() && lines(PARTIES).is_sorted());
        for line in all.into_iter().chain(lines(PARTIES)) {
            assert!(line.split(' ').skip(1).collect::<Vec<_>>().is_sorted(), "{line}");
        }
    }

    #[test]
    fn a_name_is_of_one_item_and_of_one_other_concept_at_most() {
        for (name, concepts) in NAMES.iter() {
            let items = concepts.iter().filter(|concept| concept.is_of_item()).count();
            assert!(items <= 1 && concepts.len() - items <= 1, "{name}: {concepts:?}");
        }
    }
}
