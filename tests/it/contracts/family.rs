//! Documents that are made of a document: once, together, and with it to the end.

use super::database::{Engine, LEASE, document, failure};

use shared::{
    blob::BlobKey,
    document::{Document, DocumentId, DocumentState, Format, PageRange, Part, Priority},
    job::Claim,
    store::{Accepted, Changed, Filter, Found, NewDocument, NewMember},
};

on_every_database! {
    members_come_once_with_their_messages
    a_lost_claim_and_a_cancelled_document_make_nothing
    cancelling_stops_the_family
    none_escapes_who_is_made_while_the_family_is_cancelled_or_deleted
    a_retry_runs_what_failed_in_the_family
    reprocessing_takes_the_family_along
    a_deleted_document_takes_its_family_along
    a_deleted_member_is_not_made_again
    a_part_finds_the_text_of_its_document
    a_locked_document_keeps_its_text
}

fn member(parent: &DocumentId, number: u32) -> NewMember {
    let id = parent.of_part(number, "x");
    NewMember {
        part: Part::Attachment(format!("{number}.pdf")),
        source: BlobKey::member(parent, &id),
        id,
        filename: format!("{number}.pdf"),
        file_type: Format::Pdf.into(),
        size_bytes: 7,
        sha256: format!("hash {number}"),
    }
}

impl Engine {
    async fn make(&self, claim: &Claim, numbers: &[u32]) -> Option<Vec<NewDocument>> {
        let members = numbers.iter().map(|number| member(&claim.document, *number)).collect();
        self.store.members().insert(claim, members).await.unwrap()
    }

    async fn found(&self, id: &DocumentId) -> Document {
        match self.store.documents().find(id).await.unwrap() {
            Found::Document(document) => *document,
            other => panic!("{other:?}"),
        }
    }

    /// A document with two members, of which the first has one; all are in the hands of a worker.
    async fn family(&self) -> ([DocumentId; 4], [Claim; 4]) {
        let parent = self.accept("a").await;
        let claim = self.claim(&parent).await;
        self.make(&claim, &[0, 1]).await.unwrap();
        let [first, second] = [0, 1].map(|number| member(&parent, number).id);
        let of_first = self.claim(&first).await;
        self.make(&of_first, &[0]).await.unwrap();
        let third = member(&first, 0).id;
        let (of_second, of_third) = (self.claim(&second).await, self.claim(&third).await);
        ([parent, first, second, third], [claim, of_first, of_second, of_third])
    }
}

async fn members_come_once_with_their_messages(engine: Engine) {
    let store = &engine.store;
    let parent = engine.accept("a").await;
    let old = engine.claim(&parent).await;
    let made = engine.make(&old, &[0, 1]).await.unwrap();
    engine.expire().await;
    // The one after it makes them again, and one more.
    let claim = engine.claim(&parent).await;
    let again = engine.make(&claim, &[0, 1, 2]).await.unwrap();
    assert_eq!((made.len(), again.len()), (2, 3));
    let parent = engine.found(&parent).await;
    let ids: Vec<_> = again.iter().map(|new| new.id.clone()).collect();
    assert_eq!(parent.children, ids);
    let child = engine.found(&ids[1]).await;
    assert_eq!(
        child.parent.as_ref().map(|p| (&p.id, &p.part)),
        Some((&parent.id, &Part::Attachment("1.pdf".into())))
    );
    assert_eq!((&*child.filename, child.state), ("1.pdf", DocumentState::Queued));
    assert_eq!((&child.schema, &child.metadata), (&parent.schema, &parent.metadata));
    let entries = store.outbox().take(100, LEASE).await.unwrap();
    for id in &ids {
        assert_eq!(entries.iter().filter(|entry| entry.document == *id).count(), 1, "{entries:?}");
    }
    let claim = engine.claim(&ids[1]).await;
    assert_eq!((claim.depth, claim.source), (1, BlobKey::member(&parent.id, &ids[1])));
    let filter = Filter { parent: Some(parent.id.clone()), limit: 10, ..Filter::default() };
    let mut listed: Vec<_> =
        store.documents().list(filter).await.unwrap().into_iter().map(|d| d.id).collect();
    listed.reverse();
    assert_eq!(listed, ids);
    let filter = Filter { limit: 10, ..Filter::default() };
    let all = store.documents().list(filter).await.unwrap();
    assert_eq!(all.iter().map(|d| d.children.len()).max(), Some(3));
}

async fn a_lost_claim_and_a_cancelled_document_make_nothing(engine: Engine) {
    let parent = engine.accept("a").await;
    let old = engine.claim(&parent).await;
    engine.expire().await;
    assert_eq!(engine.make(&old, &[0]).await.map(|made| made.len()), None);
    let new = engine.claim(&parent).await;
    assert!(engine.make(&old, &[0]).await.is_none());
    engine.store.documents().cancel(&parent).await.unwrap();
    assert!(engine.make(&new, &[0]).await.is_none());
    assert!(!engine.store.work().split(&new, &[]).await.unwrap());
    assert_eq!(engine.found(&parent).await.children, []);
}

async fn cancelling_stops_the_family(engine: Engine) {
    let (ids, claims) = engine.family().await;
    // What has ended stays as it is; the document itself may have.
    engine.store.work().finish(&claims[2], DocumentState::Succeeded).await.unwrap();
    assert!(engine.store.work().split(&claims[0], &["why".to_owned()]).await.unwrap());
    let Changed::Done(parent) = engine.store.documents().cancel(&ids[0]).await.unwrap() else {
        panic!("its family was in work")
    };
    assert_eq!((parent.state, &parent.warnings), (DocumentState::Split, &vec!["why".to_owned()]));
    use DocumentState::{Cancelled, Split, Succeeded};
    let expected = [Split, Cancelled, Succeeded, Cancelled];
    for (id, expected) in ids.iter().zip(expected) {
        assert_eq!(engine.state(id).await, expected, "{id}");
    }
    assert!(!engine.store.work().heartbeat(&claims[3], LEASE).await.unwrap());
    let again = engine.store.documents().cancel(&ids[0]).await.unwrap();
    assert_eq!(again, Changed::WrongState(Split));
}

async fn none_escapes_who_is_made_while_the_family_is_cancelled_or_deleted(engine: Engine) {
    let (another, third) = (engine.another(), engine.another());
    for round in 0..24 {
        let (ids, claims) = engine.family().await;
        let make = async |claim: &Claim, number| {
            let members = vec![member(&claim.document, number)];
            another.members().insert(claim, members).await.unwrap()
        };
        let stop = async {
            // Now before, now after, now between the others.
            for _ in 0..round % 6 {
                tokio::task::yield_now().await;
            }
            match round % 2 {
                0 => third.documents().cancel(&ids[0]).await.unwrap(),
                _ => third.documents().delete(&ids[0]).await.unwrap(),
            }
        };
        let made =
            async { tokio::join!(make(&claims[2], 7), make(&claims[3], 8), make(&claims[0], 9)) };
        let (_, stopped) = tokio::join!(made, stop);
        assert!(matches!(stopped, Changed::Done(_)), "{stopped:?}");
        for id in engine.store.documents().family(&ids[0]).await.unwrap() {
            let open = match engine.store.documents().find(&id).await.unwrap() {
                Found::Document(document) => !document.state.is_end(),
                Found::Deleted | Found::Nothing => false,
            };
            assert!(!open, "round {round}: {id} goes on");
        }
    }
}

async fn a_retry_runs_what_failed_in_the_family(engine: Engine) {
    let (ids, claims) = engine.family().await;
    let work = engine.store.work();
    work.finish(&claims[2], DocumentState::Succeeded).await.unwrap();
    for failed in [0, 1, 3] {
        work.fail(&claims[failed], failure()).await.unwrap();
    }
    engine.store.documents().retry(&ids[0]).await.unwrap();
    use DocumentState::{Queued, Succeeded};
    for (id, expected) in ids.iter().zip([Queued, Queued, Succeeded, Queued]) {
        assert_eq!(engine.state(id).await, expected, "{id}");
    }
}

async fn reprocessing_takes_the_family_along(engine: Engine) {
    let (ids, claims) = engine.family().await;
    let documents = engine.store.documents();
    let schema = Some("receipt@3".parse().unwrap());
    assert!(matches!(
        documents.reprocess(&ids[0], schema.clone()).await.unwrap(),
        Changed::WrongState(_)
    ));
    engine.store.work().split(&claims[0], &[]).await.unwrap();
    engine.store.work().finish(&claims[2], DocumentState::Succeeded).await.unwrap();
    documents.reprocess(&ids[0], schema.clone()).await.unwrap();
    for (id, old) in ids.iter().zip(&claims) {
        let found = engine.found(id).await;
        assert_eq!((found.state, Some(found.schema)), (DocumentState::Queued, schema.clone()));
        assert!(!engine.store.work().finish(old, DocumentState::Succeeded).await.unwrap());
        assert_eq!(engine.claim(id).await.run, 2);
    }
}

async fn a_deleted_document_takes_its_family_along(engine: Engine) {
    let (ids, claims) = engine.family().await;
    let documents = engine.store.documents();
    documents.delete(&ids[1]).await.unwrap();
    for (id, is_there) in ids.iter().zip([true, false, true, false]) {
        let found = documents.find(id).await.unwrap();
        assert_eq!(matches!(found, Found::Document(_)), is_there, "{id}");
    }
    documents.delete(&ids[0]).await.unwrap();
    for id in &ids {
        assert_eq!(documents.find(id).await.unwrap(), Found::Deleted);
    }
    // Those that were deleted before are of the family, too.
    assert_eq!(documents.family(&ids[0]).await.unwrap(), ids);
    assert_eq!(engine.store.purges().due().await.unwrap().len(), 4);
    assert!(engine.make(&claims[2], &[5]).await.is_none());
}

async fn a_deleted_member_is_not_made_again(engine: Engine) {
    let parent = engine.accept("a").await;
    let claim = engine.claim(&parent).await;
    let made = engine.make(&claim, &[0, 1]).await.unwrap();
    engine.store.documents().delete(&made[0].id).await.unwrap();
    let again = engine.make(&claim, &[0, 1]).await.unwrap();
    assert_eq!(again.iter().map(|new| &new.id).collect::<Vec<_>>(), [&made[1].id]);
    assert_eq!(engine.found(&parent).await.children, [made[1].id.clone()]);
    assert_eq!(engine.store.documents().find(&made[0].id).await.unwrap(), Found::Deleted);
}

async fn a_part_finds_the_text_of_its_document(engine: Engine) {
    let parent = engine.accept("a").await;
    let claim = engine.claim(&parent).await;
    engine.store.work().text_read(&claim, "engine 1", 9).await.unwrap();
    let part = Part::Pages(PageRange { first: 3, last: 4 });
    let source = claim.source.clone();
    let range = NewMember { part: part.clone(), source, ..member(&parent, 0) };
    let made = engine.store.members().insert(&claim, vec![range]).await.unwrap().unwrap();
    let of_part = engine.claim(&made[0].id).await;
    assert_eq!(of_part.saved_text, Some((parent.clone(), "engine 1".to_owned())));
    assert_eq!(of_part.parent.map(|parent| parent.part), Some(part));
    assert_eq!(of_part.source, BlobKey::source(&parent));
    assert_eq!((claim.saved_text, claim.depth), (None, 0));
}

async fn a_locked_document_keeps_its_text(engine: Engine) {
    let text = Some(shared::store::SavedText { engine: "engine 1".to_owned(), pages: 2 });
    let new = NewDocument { text, priority: Priority::Interactive, ..document("a") };
    let accepted = engine.store.documents().accept(vec![new.clone()], None).await.unwrap();
    assert!(matches!(accepted, Accepted::New(documents) if documents[0].pages == Some(2)));
    let claim = engine.claim(&new.id).await;
    assert_eq!(claim.saved_text, Some((new.id, "engine 1".to_owned())));
}
