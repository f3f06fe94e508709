//! Invoices of ours in both languages, hostile ones, and those of somebody else.

use super::*;
use std::io::Write;

/// An invoice of a bakery as Factur-X has it, and the same as UBL; the values are ours.
const CII: &str = r#"<?xml version="1.0"?>
<r:CrossIndustryInvoice xmlns:r="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100">
<r:ExchangedDocumentContext><GuidelineSpecifiedDocumentContextParameter><ID>urn:cen.eu:en16931:2017</ID>
</GuidelineSpecifiedDocumentContextParameter></r:ExchangedDocumentContext>
<r:ExchangedDocument><ID> B-77/4 </ID><TypeCode>380</TypeCode>
<IssueDateTime><DateTimeString format="102">20240229</DateTimeString></IssueDateTime>
<IncludedNote><Content>first</Content></IncludedNote><IncludedNote><Content>second</Content></IncludedNote>
</r:ExchangedDocument>
<r:SupplyChainTradeTransaction>
<IncludedSupplyChainTradeLineItem><AssociatedDocumentLineDocument><LineID>1</LineID></AssociatedDocumentLineDocument>
<SpecifiedTradeProduct><GlobalID schemeID="0160">4006381333931</GlobalID><Name>Rye &amp; spelt</Name></SpecifiedTradeProduct>
<SpecifiedLineTradeAgreement><NetPriceProductTradePrice><ChargeAmount>2.50</ChargeAmount></NetPriceProductTradePrice></SpecifiedLineTradeAgreement>
<SpecifiedLineTradeDelivery><BilledQuantity unitCode="H87">40.000</BilledQuantity></SpecifiedLineTradeDelivery>
<SpecifiedLineTradeSettlement><ApplicableTradeTax><RateApplicablePercent>7</RateApplicablePercent></ApplicableTradeTax>
<SpecifiedTradeSettlementLineMonetarySummation><LineTotalAmount>100.00</LineTotalAmount></SpecifiedTradeSettlementLineMonetarySummation></SpecifiedLineTradeSettlement>
</IncludedSupplyChainTradeLineItem>
<IncludedSupplyChainTradeLineItem><AssociatedDocumentLineDocument><LineStatusReasonCode>GROUP</LineStatusReasonCode></AssociatedDocumentLineDocument></IncludedSupplyChainTradeLineItem>
<ApplicableHeaderTradeAgreement><SellerTradeParty><Name>Bakery Sol</Name>
<PostalTradeAddress><PostcodeCode>1010</PostcodeCode><LineOne>Ring 4</LineOne><CityName>Vienna</CityName><CountryID>AT</CountryID></PostalTradeAddress>
<SpecifiedTaxRegistration><ID schemeID="FC">12/345</ID></SpecifiedTaxRegistration>
<SpecifiedTaxRegistration><ID schemeID="VA">ATU12345675</ID></SpecifiedTaxRegistration></SellerTradeParty>
<BuyerTradeParty><ID>C-9</ID><Name>Inn</Name></BuyerTradeParty></ApplicableHeaderTradeAgreement>
<ApplicableHeaderTradeSettlement><InvoiceCurrencyCode>CHF</InvoiceCurrencyCode>
<SpecifiedTradeSettlementPaymentMeans><PayeePartyCreditorFinancialAccount><IBANID>AT611904300234573201</IBANID></PayeePartyCreditorFinancialAccount></SpecifiedTradeSettlementPaymentMeans>
<ApplicableTradeTax><CalculatedAmount>7.00</CalculatedAmount><BasisAmount>100.00</BasisAmount><RateApplicablePercent>7</RateApplicablePercent></ApplicableTradeTax>
<SpecifiedTradePaymentTerms><Description>2 % until</Description><DueDateDateTime><DateTimeString format="102">20240310</DateTimeString></DueDateDateTime></SpecifiedTradePaymentTerms>
<SpecifiedTradePaymentTerms><DueDateDateTime><DateTimeString format="102">20240331</DateTimeString></DueDateDateTime></SpecifiedTradePaymentTerms>
<SpecifiedTradeSettlementHeaderMonetarySummation><TaxBasisTotalAmount>100.00</TaxBasisTotalAmount>
<TaxTotalAmount currencyID="EUR">7.40</TaxTotalAmount><TaxTotalAmount currencyID="CHF">7.00</TaxTotalAmount>
<GrandTotalAmount>107.00</GrandTotalAmount></SpecifiedTradeSettlementHeaderMonetarySummation>
</ApplicableHeaderTradeSettlement></r:SupplyChainTradeTransaction></r:CrossIndustryInvoice>"#;

const UBL: &str = r#"<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2" xmlns:c="urn:x">
<c:CustomizationID>urn:cen.eu:en16931:2017</c:CustomizationID>
<c:ID>B-77/4</c:ID><c:IssueDate>2024-02-29+01:00</c:IssueDate><c:DueDate>2024-03-31</c:DueDate><c:InvoiceTypeCode>380</c:InvoiceTypeCode>
<c:Note>first</c:Note><c:Note>second</c:Note><c:DocumentCurrencyCode>CHF</c:DocumentCurrencyCode>
<c:AccountingSupplierParty><c:Party><c:PartyName><c:Name>Sol</c:Name></c:PartyName>
<c:PostalAddress><c:StreetName>Ring 4</c:StreetName><c:CityName>Vienna</c:CityName><c:PostalZone>1010</c:PostalZone><c:Country><c:IdentificationCode>AT</c:IdentificationCode></c:Country></c:PostalAddress>
<c:PartyTaxScheme><c:CompanyID>12/345</c:CompanyID><c:TaxScheme><c:ID>FC</c:ID></c:TaxScheme></c:PartyTaxScheme>
<c:PartyTaxScheme><c:CompanyID>ATU12345675</c:CompanyID><c:TaxScheme><c:ID>VAT</c:ID></c:TaxScheme></c:PartyTaxScheme>
<c:PartyLegalEntity><c:RegistrationName>Bakery Sol</c:RegistrationName></c:PartyLegalEntity></c:Party></c:AccountingSupplierParty>
<c:AccountingCustomerParty><c:Party><c:PartyIdentification><c:ID>C-9</c:ID></c:PartyIdentification><c:PartyLegalEntity><c:RegistrationName>Inn</c:RegistrationName></c:PartyLegalEntity></c:Party></c:AccountingCustomerParty>
<c:PaymentMeans><c:PayeeFinancialAccount><c:ID>AT611904300234573201</c:ID></c:PayeeFinancialAccount></c:PaymentMeans>
<c:PaymentTerms><c:Note>2 % until</c:Note></c:PaymentTerms>
<c:TaxTotal><c:TaxAmount currencyID="EUR">7.40</c:TaxAmount></c:TaxTotal>
<c:TaxTotal><c:TaxAmount currencyID="CHF">7.00</c:TaxAmount><c:TaxSubtotal><c:TaxableAmount>100.00</c:TaxableAmount><c:TaxAmount>7.00</c:TaxAmount><c:TaxCategory><c:Percent>7</c:Percent></c:TaxCategory></c:TaxSubtotal></c:TaxTotal>
<c:LegalMonetaryTotal><c:TaxExclusiveAmount>100.00</c:TaxExclusiveAmount><c:TaxInclusiveAmount>107.00</c:TaxInclusiveAmount></c:LegalMonetaryTotal>
<c:InvoiceLine><c:ID>1</c:ID><c:InvoicedQuantity unitCode="H87">40.000</c:InvoicedQuantity><c:LineExtensionAmount>100.00</c:LineExtensionAmount>
<c:Item><c:Name>Rye &amp; spelt</c:Name><c:StandardItemIdentification><c:ID>4006381333931</c:ID></c:StandardItemIdentification><c:ClassifiedTaxCategory><c:Percent>7</c:Percent></c:ClassifiedTaxCategory></c:Item>
<c:Price><c:PriceAmount>2.50</c:PriceAmount></c:Price></c:InvoiceLine></Invoice>"#;

fn read(xml: &str) -> EInvoice {
    EInvoice::of_xml(xml).unwrap().unwrap()
}

fn terms<const N: usize>(terms: [(Term, &str); N]) -> Terms {
    terms.map(|(term, value)| (term, value.to_owned())).into()
}

#[test]
fn one_invoice_says_the_same_in_both_languages() {
    let (cii, mut ubl) = (read(CII), read(UBL));
    assert_eq!(ubl.parties[&PartyRole::Seller][&Term::TradingName], "Sol");
    ubl.parties.get_mut(&PartyRole::Seller).unwrap().remove(&Term::TradingName);
    assert_eq!((cii.syntax, ubl.syntax), (Syntax::Cii, Syntax::Ubl));
    assert_eq!(cii, EInvoice { syntax: Syntax::Cii, ..ubl });
    let header = terms([
        (Term::InvoiceNumber, "B-77/4"),
        (Term::IssueDate, "2024-02-29"),
        (Term::TypeCode, "380"),
        (Term::Currency, "CHF"),
        (Term::DueDate, "2024-03-31"),
        (Term::PaymentTerms, "2 % until"),
        (Term::Note, "first\nsecond"),
        (Term::Iban, "AT611904300234573201"),
        (Term::Net, "100.00"),
        (Term::Tax, "7.00"),
        (Term::Gross, "107.00"),
        (Term::Due, "107.00"),
    ]);
    assert_eq!(cii.header, header);
    let seller = terms([
        (Term::Name, "Bakery Sol"),
        (Term::VatId, "ATU12345675"),
        (Term::TaxNumber, "12/345"),
        (Term::AddressLine1, "Ring 4"),
        (Term::Postcode, "1010"),
        (Term::City, "Vienna"),
        (Term::Country, "AT"),
    ]);
    assert_eq!(cii.parties[&PartyRole::Seller], seller);
    let buyer = terms([(Term::Name, "Inn"), (Term::PartyNumber, "C-9")]);
    assert_eq!(cii.parties[&PartyRole::Buyer], buyer);
    let line = terms([
        (Term::LineNumber, "1"),
        (Term::Quantity, "40.000"),
        (Term::Unit, "H87"),
        (Term::LineNet, "100.00"),
        (Term::NetPrice, "2.50"),
        (Term::LineTaxRate, "7"),
        (Term::ItemName, "Rye & spelt"),
        (Term::StandardItemNumber, "4006381333931"),
    ]);
    assert_eq!(cii.lines, [line]);
    let tax = terms([(Term::TaxBase, "100.00"), (Term::TaxAmount, "7.00"), (Term::TaxRate, "7")]);
    assert_eq!(cii.taxes, [tax]);
}

#[test]
fn a_credit_note_in_an_envelope_and_the_first_zugferd_are_read() {
    let ubl = "urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2";
    let note = format!(
        "<e:StandardBusinessDocument xmlns:e='urn:e'><e:Header/><CreditNote xmlns='{ubl}'><ID>G-1</ID>\
         <CreditNoteLine><CreditedQuantity>3</CreditedQuantity></CreditNoteLine></CreditNote>\
         </e:StandardBusinessDocument>"
    );
    let note = read(&note);
    assert_eq!(note.number(), Some("G-1"));
    assert_eq!(note.lines, [terms([(Term::Quantity, "3")])]);
    let first = "<x:CrossIndustryDocument xmlns:x='urn:ferd:CrossIndustryDocument:invoice:1p0'>\
        <x:HeaderExchangedDocument><a:ID>Z-1</a:ID></x:HeaderExchangedDocument>\
        <x:SpecifiedSupplyChainTradeTransaction><a:ApplicableSupplyChainTradeSettlement>\
        <a:SpecifiedTradeSettlementMonetarySummation><a:GrandTotalAmount currencyID='PLN'>-0.50\
        </a:GrandTotalAmount></a:SpecifiedTradeSettlementMonetarySummation>\
        </a:ApplicableSupplyChainTradeSettlement></x:SpecifiedSupplyChainTradeTransaction>\
        </x:CrossIndustryDocument>";
    let header = terms([
        (Term::InvoiceNumber, "Z-1"),
        (Term::Currency, "PLN"),
        (Term::Gross, "-0.50"),
        (Term::Due, "-0.50"),
    ]);
    assert_eq!(read(first).header, header);
}

#[test]
fn a_value_in_no_legal_form_is_left_out_and_told() {
    let broken = CII
        .replace(">107.00<", ">1.234,50<")
        .replace(">20240229<", ">20230229<")
        .replace("format=\"102\">20240331", "format=\"616\">202413");
    let invoice = read(&broken);
    assert!(!invoice.header.contains_key(&Term::Gross), "{:?}", invoice.header);
    assert!(!invoice.header.contains_key(&Term::IssueDate), "{:?}", invoice.header);
    assert_eq!(invoice.header[&Term::DueDate], "2024-03-10");
    let faults = [
        "DateTimeString: \"20230229\"",
        "DateTimeString: \"202413\"",
        "GrandTotalAmount: \"1.234,50\"",
    ];
    assert_eq!(invoice.faults, faults);
}

#[test]
fn numbers_and_days_have_their_legal_forms() {
    let check = |text: &str, expected: Option<&str>| {
        assert_eq!(number(text).as_deref(), expected, "{text}");
    };
    check("100", Some("100"));
    check("+007.50", Some("7.50"));
    check("-.5", Some("-0.5"));
    check("5.", Some("5"));
    for text in ["", "-", ".", "1e3", "--1", "1 000", "1,5", "NaN", "٣"] {
        check(text, None);
    }
    check(&"9".repeat(41), None);
    let check = |text: &str, format: Option<&str>, expected: Option<&str>| {
        let attributes = format.map(|format| ("format".to_owned(), format.to_owned()));
        let attributes = attributes.into_iter().collect();
        let element = Element { text: text.to_owned(), attributes, ..Element::default() };
        assert_eq!(day(&element).as_deref(), expected, "{text} {format:?}");
    };
    check("20240305", Some("102"), Some("2024-03-05"));
    check("202403051230", Some("203"), Some("2024-03-05"));
    check("2013-08-01T00:00:00", None, Some("2013-08-01"));
    check("20000229", None, Some("2000-02-29"));
    check("19000229", None, None);
    check("202403", Some("610"), None);
    check("2024-13-01", None, None);
    check("05.03.2024", None, None);
    check("2024", Some("102"), None);
    check("2024é0305", Some("102"), None);
}

#[test]
fn other_xml_is_no_invoice_and_hostile_xml_none_that_is_read() {
    let none = |xml: &str| assert_eq!(EInvoice::of_xml(xml), Ok(None), "{xml}");
    none("<Invoice><ID>1</ID></Invoice>");
    none("<Invoice xmlns='urn:somebody'>oasis:names:specification:ubl</Invoice>");
    none("an invoice");
    none("<open");
    let refused = |xml: &str, expected: &str| {
        let why = EInvoice::of_xml(xml).unwrap_err();
        assert!(why.contains(expected), "{why}");
    };
    let laughs = "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]>";
    refused(&format!("{laughs}{UBL}"), "document type");
    refused(&UBL.replace("B-77/4", "&b;"), "entity");
    let system = "<!DOCTYPE x SYSTEM \"file:///etc/passwd\">";
    refused(&format!("{system}{UBL}"), "document type");
    refused(&UBL.replace("<c:ID>", &"<c:ID>".repeat(10_000)), "nested");
    refused(&UBL.replace("<c:ID>", &format!("{}<c:ID>", "<c:x/>".repeat(NODES))), "elements");
    for cut in (200..UBL.len()).step_by(97).filter(|cut| UBL.is_char_boundary(*cut)) {
        assert!(EInvoice::of_xml(&UBL[..cut]).is_err(), "{cut}");
    }
    refused(&format!("{UBL}<more/>"), "root");
    refused(&UBL.replace("</Invoice>", "</Voice>"), "");
    let long = read(&UBL.replace("B-77/4", &"9".repeat(20_000)));
    assert_eq!(long.number(), None);
}

const NODES: usize = 500_001;

#[test]
fn every_character_set_is_read_and_bytes_in_none_are_no_invoice() {
    let umlaut = UBL.replace("Bakery Sol", "Bäckerei Ö");
    let check = |bytes: &[u8]| {
        let invoice = EInvoice::read(bytes).unwrap().unwrap();
        assert_eq!(invoice.parties[&PartyRole::Seller][&Term::Name], "Bäckerei Ö");
    };
    check(umlaut.as_bytes());
    check(&[b"\xef\xbb\xbf", umlaut.as_bytes()].concat());
    let wide: Vec<u8> = umlaut.encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(&[b"\xff\xfe", &wide[..]].concat());
    let latin: Vec<u8> = umlaut.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    check(&[&b"<?xml version='1.0' encoding='ISO-8859-1'?>"[..], &latin].concat());
    assert_eq!(EInvoice::read(&latin), Ok(None));
}

#[test]
fn the_names_are_sorted_and_no_path_has_one_that_is_replaced() {
    assert!(ALIASES.is_sorted_by_key(|(name, _)| *name));
    for binding in BINDINGS {
        let is_renamed = |step: &str| ALIASES.iter().any(|(name, _)| *name == step);
        assert!(!binding.cii.split(['/', ' ']).any(is_renamed), "{binding:?}");
    }
}

/// What other people's invoices must say: those of ../shared/documents, where they are.
#[test]
fn invoices_of_somebody_else_say_what_they_must() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/documents");
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "the real documents are missing");
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no ../shared/documents");
        return;
    }
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let documents = manifest.as_array().or_else(|| manifest["documents"].as_array()).unwrap();
    let mut seen = 0;
    for document in documents.iter().filter(|d| d["expect"]["fields"]["invoice_number"].is_string())
    {
        let file = document["file"].as_str().unwrap();
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let pages = crate::pdf::read(&bytes, 100, "").unwrap();
        let [invoice] = &pages.e_invoices[..] else { panic!("{file}: {:?}", pages.warnings) };
        let party = |role, term| invoice.parties.get(&role).and_then(|party| party.get(&term));
        let head = |term| invoice.header.get(&term);
        let expected = &document["expect"]["fields"];
        for (name, value) in [
            ("invoice_number", head(Term::InvoiceNumber)),
            ("issue_date", head(Term::IssueDate)),
            ("currency", head(Term::Currency)),
            ("net_total", head(Term::Net)),
            ("tax_total", head(Term::Tax)),
            ("grand_total", head(Term::Gross)),
            ("seller", party(PartyRole::Seller, Term::Name)),
            ("buyer", party(PartyRole::Buyer, Term::Name)),
            ("vat_id", party(PartyRole::Seller, Term::VatId)),
        ] {
            let expected = expected[name].as_str().unwrap_or_default();
            assert_eq!(value.map_or("", String::as_str), expected, "{file}: {name}");
        }
        assert_eq!(Some(invoice.lines.len() as u64), expected["lines"].as_u64(), "{file}");
        seen += 1;
    }
    assert!(seen > 0);
}
