//! The business terms of EN 16931-1, and where each stands in UN/CEFACT CII (with the names of
//! [`ALIASES`](super::ALIASES)) and in UBL 2.1.
//!
//! Source: EN 16931-1 (terms `BT-…`), CEN/TS 16931-3-2 (UBL) and 16931-3-3 (CII), and the ZUGFeRD 1.0
//! schema. It must know nothing of XML.

use serde::{Deserialize, Serialize};

/// Of what a term is a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TermGroup {
    /// The whole invoice.
    Header,
    /// One of its parties.
    Party,
    /// One of its lines.
    Line,
    /// One of its taxes.
    Tax,
}

/// What the text of a term is, and which of several counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Anything; the first.
    Text,
    /// All of them, each on a line of its own.
    Texts,
    /// A day, as ISO 8601; the first.
    Date,
    /// The last of several days: the earlier ones are those of cash discounts.
    LastDate,
    /// A decimal number; of several the one in the currency of the invoice.
    Number,
}

/// A term and where it stands: paths apart by ` | `, of which the first that leads to a value counts.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) term: Term,
    pub(super) form: Form,
    pub(super) cii: &'static str,
    pub(super) ubl: &'static str,
}

macro_rules! terms {
    ($($(#[$doc:meta])+ $name:ident: $group:ident $form:ident, $cii:literal, $ubl:literal;)+) => {
        /// A business term of EN 16931-1.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Term { $($(#[$doc])+ $name,)+ }

        impl Term {
            /// Of what it is a part.
            pub fn group(self) -> TermGroup {
                match self { $(Self::$name => TermGroup::$group,)+ }
            }
        }

        pub(super) const BINDINGS: &[Binding] = &[$(Binding {
            term: Term::$name, form: Form::$form, cii: $cii, ubl: $ubl,
        },)+];
    };
}

terms! {
    /// BT-1: the number of the invoice.
    InvoiceNumber: Header Text, "ExchangedDocument/ID", "ID";
    /// BT-2: when it was issued.
    IssueDate: Header Date, "ExchangedDocument/IssueDateTime/DateTimeString", "IssueDate";
    /// BT-3: what it is (UNTDID 1001): 380 an invoice, 381 a credit note.
    TypeCode: Header Text, "ExchangedDocument/TypeCode", "InvoiceTypeCode | CreditNoteTypeCode";
    /// BT-5: its currency (ISO 4217).
    Currency: Header Text,
        "Transaction/Settlement/InvoiceCurrencyCode | Transaction/Settlement/Totals/GrandTotalAmount/@currencyID",
        "DocumentCurrencyCode | LegalMonetaryTotal/TaxInclusiveAmount/@currencyID";
    /// BT-9: when it is to be paid at the latest.
    DueDate: Header LastDate,
        "Transaction/Settlement/SpecifiedTradePaymentTerms/DueDateDateTime/DateTimeString",
        "DueDate | PaymentMeans/PaymentDueDate | PaymentTerms/PaymentDueDate";
    /// BT-10: what the buyer asks to be named (in Germany the Leitweg-ID).
    BuyerReference: Header Text, "Transaction/Agreement/BuyerReference", "BuyerReference";
    /// BT-11: the project.
    ProjectReference: Header Text,
        "Transaction/Agreement/SpecifiedProcuringProject/ID", "ProjectReference/ID";
    /// BT-12: the contract.
    ContractReference: Header Text,
        "Transaction/Agreement/ContractReferencedDocument/IssuerAssignedID | Transaction/Agreement/ContractReferencedDocument/ID",
        "ContractDocumentReference/ID";
    /// BT-13: the buyer's order.
    OrderNumber: Header Text,
        "Transaction/Agreement/BuyerOrderReferencedDocument/IssuerAssignedID | Transaction/Agreement/BuyerOrderReferencedDocument/ID",
        "OrderReference/ID";
    /// The day of that order (the extended profile of Factur-X; UBL).
    OrderDate: Header Date,
        "Transaction/Agreement/BuyerOrderReferencedDocument/FormattedIssueDateTime/DateTimeString | Transaction/Agreement/BuyerOrderReferencedDocument/IssueDateTime",
        "OrderReference/IssueDate";
    /// BT-14: the seller's number of the order.
    SalesOrderNumber: Header Text,
        "Transaction/Agreement/SellerOrderReferencedDocument/IssuerAssignedID", "OrderReference/SalesOrderID";
    /// BT-16: the despatch advice; in ZUGFeRD also the delivery note.
    DeliveryNoteNumber: Header Text,
        "Transaction/Delivery/DeliveryNoteReferencedDocument/IssuerAssignedID | Transaction/Delivery/DeliveryNoteReferencedDocument/ID | Transaction/Delivery/DespatchAdviceReferencedDocument/IssuerAssignedID",
        "DespatchDocumentReference/ID";
    /// BT-20: the terms of payment.
    PaymentTerms: Header Texts,
        "Transaction/Settlement/SpecifiedTradePaymentTerms/Description", "PaymentTerms/Note";
    /// BT-22: remarks.
    Note: Header Texts, "ExchangedDocument/IncludedNote/Content", "Note";
    /// BT-25: the invoice that this one corrects.
    PrecedingInvoice: Header Text,
        "Transaction/Settlement/InvoiceReferencedDocument/IssuerAssignedID | Transaction/Settlement/InvoiceReferencedDocument/ID",
        "BillingReference/InvoiceDocumentReference/ID";
    /// BT-72: when it was delivered.
    DeliveryDate: Header Date,
        "Transaction/Delivery/ActualDeliverySupplyChainEvent/OccurrenceDateTime/DateTimeString",
        "Delivery/ActualDeliveryDate";
    /// BT-73: when the service began.
    PeriodStart: Header Date,
        "Transaction/Settlement/BillingSpecifiedPeriod/StartDateTime/DateTimeString", "InvoicePeriod/StartDate";
    /// BT-74: when the service ended.
    PeriodEnd: Header Date,
        "Transaction/Settlement/BillingSpecifiedPeriod/EndDateTime/DateTimeString", "InvoicePeriod/EndDate";
    /// BT-82: how it is paid, in words.
    PaymentMeans: Header Text,
        "Transaction/Settlement/SpecifiedTradeSettlementPaymentMeans/Information",
        "PaymentMeans/PaymentMeansCode/@name";
    /// BT-83: what is to be named in the payment.
    PaymentReference: Header Text, "Transaction/Settlement/PaymentReference", "PaymentMeans/PaymentID";
    /// BT-84: the account to pay to, mostly an IBAN.
    Iban: Header Text,
        "Transaction/Settlement/SpecifiedTradeSettlementPaymentMeans/PayeePartyCreditorFinancialAccount/IBANID | Transaction/Settlement/SpecifiedTradeSettlementPaymentMeans/PayeePartyCreditorFinancialAccount/ProprietaryID",
        "PaymentMeans/PayeeFinancialAccount/ID";
    /// BT-85: whose account it is.
    AccountName: Header Text,
        "Transaction/Settlement/SpecifiedTradeSettlementPaymentMeans/PayeePartyCreditorFinancialAccount/AccountName",
        "PaymentMeans/PayeeFinancialAccount/Name";
    /// BT-86: the bank of that account.
    Bic: Header Text,
        "Transaction/Settlement/SpecifiedTradeSettlementPaymentMeans/PayeeSpecifiedCreditorFinancialInstitution/BICID",
        "PaymentMeans/PayeeFinancialAccount/FinancialInstitutionBranch/ID";
    /// The name of that bank (ZUGFeRD 1; UBL).
    BankName: Header Text,
        "Transaction/Settlement/SpecifiedTradeSettlementPaymentMeans/PayeeSpecifiedCreditorFinancialInstitution/Name",
        "PaymentMeans/PayeeFinancialAccount/FinancialInstitutionBranch/Name";
    /// BT-106: the sum of the net amounts of the lines.
    LineTotal: Header Number,
        "Transaction/Settlement/Totals/LineTotalAmount", "LegalMonetaryTotal/LineExtensionAmount";
    /// BT-107: the sum of the allowances.
    AllowanceTotal: Header Number,
        "Transaction/Settlement/Totals/AllowanceTotalAmount", "LegalMonetaryTotal/AllowanceTotalAmount";
    /// BT-108: the sum of the charges, such as freight.
    ChargeTotal: Header Number,
        "Transaction/Settlement/Totals/ChargeTotalAmount", "LegalMonetaryTotal/ChargeTotalAmount";
    /// BT-109: the sum before tax.
    Net: Header Number,
        "Transaction/Settlement/Totals/TaxBasisTotalAmount", "LegalMonetaryTotal/TaxExclusiveAmount";
    /// BT-110: the sum of the taxes.
    Tax: Header Number, "Transaction/Settlement/Totals/TaxTotalAmount", "TaxTotal/TaxAmount";
    /// BT-112: the sum with tax.
    Gross: Header Number,
        "Transaction/Settlement/Totals/GrandTotalAmount", "LegalMonetaryTotal/TaxInclusiveAmount";
    /// BT-113: what was paid before.
    Paid: Header Number,
        "Transaction/Settlement/Totals/TotalPrepaidAmount", "LegalMonetaryTotal/PrepaidAmount";
    /// BT-114: by how much it is rounded.
    Rounding: Header Number,
        "Transaction/Settlement/Totals/RoundingAmount", "LegalMonetaryTotal/PayableRoundingAmount";
    /// BT-115: what is to be paid.
    Due: Header Number,
        "Transaction/Settlement/Totals/DuePayableAmount", "LegalMonetaryTotal/PayableAmount";

    /// BT-27, 44, 59, 70: the name of a party.
    Name: Party Text,
        "Name", "PartyLegalEntity/RegistrationName | PartyName/Name | DeliveryParty/PartyName/Name";
    /// BT-28, 45: the name under which it trades.
    TradingName: Party Text, "SpecifiedLegalOrganization/TradingBusinessName", "PartyName/Name";
    /// BT-29, 46, 60, 71: its number with the other party, or a GLN.
    PartyNumber: Party Text, "ID | GlobalID",
        "PartyIdentification/ID[@schemeID!=SEPA] | DeliveryLocation/ID";
    /// BT-30, 47, 61: its number in a register of companies.
    RegistrationNumber: Party Text, "SpecifiedLegalOrganization/ID", "PartyLegalEntity/CompanyID";
    /// BT-31, 48: its VAT identification number.
    VatId: Party Text,
        "SpecifiedTaxRegistration/ID[@schemeID=VA]", "PartyTaxScheme[TaxScheme.ID=VAT]/CompanyID";
    /// BT-32: its number with the tax office.
    TaxNumber: Party Text,
        "SpecifiedTaxRegistration/ID[@schemeID=FC]", "PartyTaxScheme[TaxScheme.ID!=VAT]/CompanyID";
    /// BT-35, 50, 75: the street, mostly.
    AddressLine1: Party Text, "PostalTradeAddress/LineOne",
        "PostalAddress/StreetName | DeliveryLocation/Address/StreetName";
    /// BT-36, 51, 76: more of the address.
    AddressLine2: Party Text, "PostalTradeAddress/LineTwo",
        "PostalAddress/AdditionalStreetName | DeliveryLocation/Address/AdditionalStreetName";
    /// BT-162, 163, 165: more of the address.
    AddressLine3: Party Text, "PostalTradeAddress/LineThree",
        "PostalAddress/AddressLine/Line | DeliveryLocation/Address/AddressLine/Line";
    /// BT-38, 53, 78: the post code.
    Postcode: Party Text, "PostalTradeAddress/PostcodeCode",
        "PostalAddress/PostalZone | DeliveryLocation/Address/PostalZone";
    /// BT-37, 52, 77: the town.
    City: Party Text, "PostalTradeAddress/CityName",
        "PostalAddress/CityName | DeliveryLocation/Address/CityName";
    /// BT-39, 54, 79: the part of the country.
    Region: Party Text, "PostalTradeAddress/CountrySubDivisionName",
        "PostalAddress/CountrySubentity | DeliveryLocation/Address/CountrySubentity";
    /// BT-40, 55, 80: the country (ISO 3166-1).
    Country: Party Text, "PostalTradeAddress/CountryID",
        "PostalAddress/Country/IdentificationCode | DeliveryLocation/Address/Country/IdentificationCode";
    /// BT-41, 56: whom to ask.
    ContactName: Party Text,
        "DefinedTradeContact/PersonName | DefinedTradeContact/DepartmentName", "Contact/Name";
    /// BT-42, 57: the telephone number.
    Phone: Party Text,
        "DefinedTradeContact/TelephoneUniversalCommunication/CompleteNumber", "Contact/Telephone";
    /// BT-43, 58: the e-mail address.
    Email: Party Text,
        "DefinedTradeContact/EmailURIUniversalCommunication/URIID | DefinedTradeContact/EmailURIUniversalCommunication/CompleteNumber",
        "Contact/ElectronicMail";

    /// BT-126: the number of a line.
    LineNumber: Line Text, "AssociatedDocumentLineDocument/LineID", "ID";
    /// BT-127: a remark on it.
    LineNote: Line Texts, "AssociatedDocumentLineDocument/IncludedNote/Content", "Note";
    /// BT-129: how many or how much.
    Quantity: Line Number, "LineDelivery/BilledQuantity", "InvoicedQuantity | CreditedQuantity";
    /// BT-130: the unit (UN/ECE Recommendation 20): `C62` and `H87` a piece, `HUR` an hour.
    Unit: Line Text,
        "LineDelivery/BilledQuantity/@unitCode",
        "InvoicedQuantity/@unitCode | CreditedQuantity/@unitCode";
    /// BT-131: the net amount.
    LineNet: Line Number, "LineSettlement/Totals/LineTotalAmount", "LineExtensionAmount";
    /// BT-132: the line of the order.
    OrderLine: Line Text,
        "LineAgreement/BuyerOrderReferencedDocument/LineID", "OrderLineReference/LineID";
    /// BT-134: when the service of a line began.
    LinePeriodStart: Line Date,
        "LineSettlement/BillingSpecifiedPeriod/StartDateTime/DateTimeString", "InvoicePeriod/StartDate";
    /// BT-135: when it ended.
    LinePeriodEnd: Line Date,
        "LineSettlement/BillingSpecifiedPeriod/EndDateTime/DateTimeString", "InvoicePeriod/EndDate";
    /// BT-146: the net price of [`Self::PriceQuantity`].
    NetPrice: Line Number,
        "LineAgreement/NetPriceProductTradePrice/ChargeAmount", "Price/PriceAmount";
    /// BT-148: the price before its discount; still without tax.
    GrossPrice: Line Number,
        "LineAgreement/GrossPriceProductTradePrice/ChargeAmount", "Price/AllowanceCharge/BaseAmount";
    /// BT-149: for how many the price is; 1 where it is not said.
    PriceQuantity: Line Number,
        "LineAgreement/NetPriceProductTradePrice/BasisQuantity", "Price/BaseQuantity";
    /// BT-136, 141: by what it is reduced or raised, the first of it.
    LineAdjustment: Line Number,
        "LineSettlement/SpecifiedTradeAllowanceCharge/ActualAmount", "AllowanceCharge/Amount";
    /// BT-151: the category of tax (UNTDID 5305).
    LineTaxCategory: Line Text,
        "LineSettlement/ApplicableTradeTax/CategoryCode", "Item/ClassifiedTaxCategory/ID";
    /// BT-152: the rate of tax in percent.
    LineTaxRate: Line Number,
        "LineSettlement/ApplicableTradeTax/RateApplicablePercent", "Item/ClassifiedTaxCategory/Percent";
    /// BT-153: what was sold; in ZUGFeRD 1 it may stand in the remark.
    ItemName: Line Text,
        "SpecifiedTradeProduct/Name | AssociatedDocumentLineDocument/IncludedNote/Content", "Item/Name";
    /// BT-154: more of it.
    ItemDescription: Line Text, "SpecifiedTradeProduct/Description", "Item/Description";
    /// BT-155: the seller's number of it.
    SellerItemNumber: Line Text,
        "SpecifiedTradeProduct/SellerAssignedID", "Item/SellersItemIdentification/ID";
    /// BT-156: the buyer's number of it.
    BuyerItemNumber: Line Text,
        "SpecifiedTradeProduct/BuyerAssignedID", "Item/BuyersItemIdentification/ID";
    /// BT-157: its number for everybody, such as an EAN.
    StandardItemNumber: Line Text,
        "SpecifiedTradeProduct/GlobalID", "Item/StandardItemIdentification/ID";

    /// BT-116: the sum that a rate is of.
    TaxBase: Tax Number, "BasisAmount", "TaxableAmount";
    /// BT-117: the tax of that rate.
    TaxAmount: Tax Number, "CalculatedAmount", "TaxAmount";
    /// BT-118: the category of tax (UNTDID 5305).
    TaxCategory: Tax Text, "CategoryCode", "TaxCategory/ID";
    /// BT-119: the rate in percent.
    TaxRate: Tax Number, "RateApplicablePercent", "TaxCategory/Percent | Percent";
    /// BT-120: why there is no tax.
    TaxExemption: Tax Text, "ExemptionReason", "TaxCategory/TaxExemptionReason";
}
