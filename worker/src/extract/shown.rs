//! Values that may stand on pages that models were shown as images: no text proves or refutes them.

use shared::extraction::{Evidence, Field, FieldStatus, Page, Pages};
use std::collections::BTreeMap;

/// What stands in no text may stand in an image: it is inferred, and where only one page was shown,
/// that is where it stands.
pub fn judge(pages: &Pages, fields: &mut BTreeMap<String, Field>) {
    let shown: Vec<&Page> = pages.pages.iter().filter(|page| page.is_shown).collect();
    if shown.is_empty() {
        return;
    }
    let place = match shown.as_slice() {
        [page] => Some(Evidence { page: page.number, quote: String::new(), bounds: None }),
        _ => None,
    };
    for field in fields.values_mut().filter(|field| field.status == FieldStatus::NotFound) {
        field.status = FieldStatus::Inferred;
        field.evidence = place.iter().cloned().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(shown: &[bool], status: FieldStatus) -> Field {
        let page = |(number, is_shown): (u32, &bool)| Page {
            number,
            is_shown: *is_shown,
            ..Page::default()
        };
        let pages = Pages { pages: (1..).zip(shown).map(page).collect(), ..Pages::default() };
        let mut fields = BTreeMap::from([("/total".to_owned(), Field::of(status))]);
        judge(&pages, &mut fields);
        fields.remove("/total").unwrap()
    }

    #[test]
    fn what_an_image_may_show_is_inferred_and_never_proven() {
        let field = judged(&[false, true], FieldStatus::NotFound);
        assert_eq!((field.status, field.evidence[0].page), (FieldStatus::Inferred, 2));
        let field = judged(&[true, true], FieldStatus::NotFound);
        assert_eq!((field.status, field.evidence.len()), (FieldStatus::Inferred, 0));
        assert_eq!(judged(&[false], FieldStatus::NotFound).status, FieldStatus::NotFound);
        for status in [FieldStatus::Verified, FieldStatus::Missing, FieldStatus::Conflict] {
            assert_eq!(judged(&[true], status).status, status);
        }
    }
}
