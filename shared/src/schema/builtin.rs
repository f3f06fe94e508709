//! The schemas that come with Sluice, written as Rust types so that a Rust client can read a
//! result into them: `invoice`, `receipt`, `contract`, `generic`.

use super::KEYWORD;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An invoice or a credit note.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Invoice {
    /// The number of the invoice, exactly as printed.
    pub invoice_number: Option<String>,
    /// The buyer's order number (purchase order), exactly as printed.
    pub order_number: Option<String>,
    /// The date of the invoice, as ISO 8601 (2024-03-05).
    #[schemars(extend("format" = "date"))]
    pub issue_date: Option<String>,
    /// The date by which it is to be paid, as ISO 8601.
    #[schemars(extend("format" = "date"))]
    pub due_date: Option<String>,
    /// The name of the seller (supplier, vendor).
    pub seller_name: Option<String>,
    /// The seller's VAT identification number, exactly as printed.
    pub seller_vat_id: Option<String>,
    /// The seller's IBAN, exactly as printed.
    pub seller_iban: Option<String>,
    /// The name of the buyer (customer, bill to).
    pub buyer_name: Option<String>,
    /// The currency as ISO 4217 (EUR, USD, GBP, CHF).
    #[schemars(regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: Option<String>,
    /// The positions, in the order in which they are printed.
    pub lines: Vec<InvoiceLine>,
    /// The sum before tax (net, subtotal).
    pub net: Option<f64>,
    /// The sum of all taxes (VAT).
    pub vat: Option<f64>,
    /// The sum to pay, tax included (gross, grand total).
    pub total: Option<f64>,
}

/// One position of an invoice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceLine {
    /// What was sold.
    pub description: String,
    /// How many.
    pub quantity: Option<f64>,
    /// The price of one, before tax.
    pub unit_price: Option<f64>,
    /// The price of this position, before tax.
    pub amount: Option<f64>,
}

/// A receipt of a shop, a restaurant or a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The name of the shop.
    pub merchant: Option<String>,
    /// The day of the purchase, as ISO 8601.
    #[schemars(extend("format" = "date"))]
    pub date: Option<String>,
    /// The time of the purchase, as printed.
    pub time: Option<String>,
    /// The currency as ISO 4217 (EUR, USD, GBP, CHF).
    #[schemars(regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: Option<String>,
    /// What was bought, in the order in which it is printed.
    pub items: Vec<ReceiptItem>,
    /// The sum of all taxes.
    pub tax: Option<f64>,
    /// The sum that was paid.
    pub total: Option<f64>,
    /// How it was paid (cash, card), as printed.
    pub payment_method: Option<String>,
}

/// One item of a receipt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptItem {
    /// What was bought.
    pub description: String,
    /// How many, when printed.
    pub quantity: Option<f64>,
    /// The price of this item.
    pub amount: Option<f64>,
}

/// A contract.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Contract {
    /// The title of the contract.
    pub title: Option<String>,
    /// Those who conclude it.
    pub parties: Vec<Party>,
    /// The day on which it takes effect, as ISO 8601.
    #[schemars(extend("format" = "date"))]
    pub effective_date: Option<String>,
    /// The day on which it ends, as ISO 8601.
    #[schemars(extend("format" = "date"))]
    pub end_date: Option<String>,
    /// How long before its end notice must be given, as printed.
    pub notice_period: Option<String>,
    /// The law that governs it, as printed.
    pub governing_law: Option<String>,
    /// The value of the contract.
    pub value: Option<f64>,
    /// The currency of the value as ISO 4217 (EUR, USD, GBP, CHF).
    #[schemars(regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: Option<String>,
}

/// One party of a contract.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Party {
    /// The name of the party.
    pub name: String,
    /// Its role in the contract (supplier, customer, landlord), as printed.
    pub role: Option<String>,
}

/// Any document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generic {
    /// The title or heading of the document.
    pub title: Option<String>,
    /// What kind of document it is (letter, form, report), in one or two words.
    #[schemars(extend("x-sluice" = { "printed": false }))]
    pub kind: Option<String>,
    /// The date of the document, as ISO 8601.
    #[schemars(extend("format" = "date"))]
    pub date: Option<String>,
    /// Labels and their values, exactly as printed, in the order of the document.
    pub fields: Vec<LabelledValue>,
}

/// A label and its value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LabelledValue {
    /// The label as printed.
    pub label: String,
    /// The value as printed.
    pub value: String,
}

/// The schemas that come with Sluice, as `(name, JSON Schema)`.
pub fn all() -> Vec<(&'static str, Value)> {
    let invoice = json!({
        "instructions": "Amounts as numbers, dates as ISO 8601. On a credit note amounts are negative as printed.",
        "checks": ["sum(lines[].amount) == net", "net + vat == total"],
    });
    let receipt = json!({
        "instructions": "Amounts as numbers, dates as ISO 8601.",
        "checks": ["sum(items[].amount) == total"],
    });
    let contract = json!({ "instructions": "Names and terms exactly as printed." });
    let generic = json!({ "instructions": "Labels and values exactly as printed." });
    vec![
        ("invoice", with_keyword::<Invoice>(invoice)),
        ("receipt", with_keyword::<Receipt>(receipt)),
        ("contract", with_keyword::<Contract>(contract)),
        ("generic", with_keyword::<Generic>(generic)),
    ]
}

fn with_keyword<T: JsonSchema>(own: Value) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert(KEYWORD.to_owned(), own);
    }
    schema
}
