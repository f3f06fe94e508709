//! The labels under which a document may print what a property asks for: the words of its name
//! and of its description, and synonyms of these. All phrases are folded.

use super::shape::Property;
use super::text::fold;
use std::collections::HashSet;
use std::sync::LazyLock;

/// One group of synonyms a line, in English, German, French and, for the commonest, Spanish,
/// Italian and Dutch. A phrase that stands further left is preferred.
const SYNONYMS: &str = "\
invoice number,rechnungsnummer,rechnungs number,rechnung number,facture number,number facture,\
credit note number,gutschrift number,number fattura,factura number,factuurnummer
customer number,kundennummer,client number,number
order number,purchase order,purchase order number,po number,your order,bestellnummer,\
ihre bestellung,bon commande number,bon commande,su pedido,vs ordine,uw bestelling
issue date,invoice date,date invoice,rechnungsdatum,date facture,data fattura,fecha factura,\
factuurdatum,date,datum
due date,payment due,fallig am,zahlbar bis,echeance,date echeance,scadenza,fecha vencimiento,\
vervaldatum
date,datum,fecha,data
seller,supplier,vendor,lieferant,verkaufer,fournisseur,vendeur
buyer,customer,client,bill to,billed to,invoice to,kunde,kaufer,acheteur,rechnung an,facture a,\
cliente,factuur aan
vat id,vat number,vat registration number,ust idnr,ust id number,ust id,mwst number,\
umsatzsteuer id,tva number,number tva,number tva intracommunautaire,p iva,nif,btw number
net,subtotal,sub total,net total,net amount,zwischensumme,nettobetrag,summe netto,total ht,\
montant ht,base imponible,imponibile,totaal excl btw
vat,total vat,totaal btw,sales tax,tax,incl vat,mwst,zzgl mwst,umsatzsteuer,tva,montant tva,iva,\
btw
total,grand total,total due,amount due,balance due,gesamtbetrag,rechnungsbetrag,bruttobetrag,\
gutschriftsbetrag,total ttc,net a payer,totale fattura,total factura,totaal incl btw
currency,wahrung,devise,monnaie
payment method,paid by,zahlungsart,mode paiement
carried forward,brought forward,ubertrag
description,item,product,service,produkt,produit,bezeichnung,beschreibung,artikel,leistung,\
designation,descrizione,concepto,omschrijving
quantity,qty,count,menge,anzahl,quantite,qte,quantita,cantidad,aantal
unit price,price,einzelpreis,preis,stuckpreis,prix unitaire,prix unitaire ht,pu ht,\
prezzo unitario,precio unitario,prijs
amount,total,line total,betrag,gesamt,gesamtpreis,montant,montant ht,importo,importe,bedrag
code,article number,item number,item code,sku,artikelnummer,art number,reference";

pub(crate) static GROUPS: LazyLock<Vec<Vec<&str>>> =
    LazyLock::new(|| SYNONYMS.lines().map(|line| line.split(',').collect()).collect());

static KNOWN: LazyLock<HashSet<&str>> =
    LazyLock::new(|| GROUPS.iter().flatten().copied().collect());

/// Whether a text is a label that documents print, whatever was asked for.
pub(crate) fn is_known(key: &str) -> bool {
    KNOWN.contains(key)
}

/// The labels of a property, the surest first. Of the seller, who issues most documents, the name
/// may be left out.
pub(crate) fn of_property(own: &Property<'_>) -> Vec<String> {
    let path = &own.path;
    let mut labels = vec![path.clone()];
    labels.extend(path.strip_suffix(" name").map(str::to_owned));
    labels.extend(path.strip_prefix("seller ").filter(|rest| *rest != "name").map(str::to_owned));
    let said = phrases_in(own.description);
    let group = |phrase: &String| {
        let named = GROUPS.iter().find(|group| group.first() == Some(&phrase.as_str()));
        named.or_else(|| GROUPS.iter().find(|group| group.contains(&phrase.as_str())))
    };
    let synonyms = labels.iter().chain(&said).find_map(group).into_iter().flatten();
    labels.extend(synonyms.map(|phrase| (*phrase).to_owned()));
    labels.extend(said);
    labels
}

/// What a description calls the value: its first words, and the words in brackets.
fn phrases_in(description: &str) -> Vec<String> {
    let (first, rest) = description.split_once(['(', '.', ',', ':']).unwrap_or((description, ""));
    let brackets = rest.split_once(')').map_or("", |(inside, _)| inside);
    let phrases = [first].into_iter().chain(brackets.split(',')).map(fold);
    phrases.filter(|phrase| !phrase.is_empty() && phrase.split(' ').count() <= 4).collect()
}
