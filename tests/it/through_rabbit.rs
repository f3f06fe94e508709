//! Uploader and workers that share nothing but a database, a folder and RabbitMQ end everything.

use crate::{
    broker::Broker,
    harness::{Place, fast, until},
};
use reqwest::Method;
use serde_json::json;

const LETTERS: usize = 40;

/// What must never be printed.
const PASSWORD: &str = "canary-of-the-broker";

fn letter(number: usize) -> Vec<u8> {
    format!(
        "Bolt & Sons Ltd\n\nInvoice No.: R-{number:04}\nInvoice date: 2024-03-05\nCurrency: EUR\n\n\
         Description   Quantity   Unit price   Amount\nBolts   {number}   1.00   {number}.00\n\n\
         Subtotal   {number}.00\nVAT 0 %   0.00\nTotal   {number}.00\n"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_go_through_rabbitmq_to_two_workers() {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    let user = &vhost.name;
    let password = json!({ "password": PASSWORD, "tags": "" });
    broker.manage(Method::PUT, &format!("users/{user}"), password).await;
    broker.user(&vhost.name, user).await;
    let mut place = Place::new(vec![fast("sweden")], "").await;
    place.settings = vec![
        ("SLUICE_QUEUE", broker.url(user, PASSWORD, &vhost.name)),
        // Most of what a library could give away, it gives away here.
        ("SLUICE_LOG", "trace".to_owned()),
    ];
    let uploader = place.start("uploader").await;
    let workers = [place.spawn("worker", &[]), place.spawn("worker", &[])];
    let mut documents = Vec::new();
    for number in 1..=LETTERS {
        documents.push(place.upload("letter.txt", "invoice", letter(number)).await);
    }
    for document in &documents {
        let ended = place.ended(document).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
    }
    assert_eq!(place.get("/readyz").await["status"], "ok");
    until("every message is answered", async || {
        (vhost.length("sluice.documents").await == Some(0)).then_some(())
    })
    .await;
    for process in workers.into_iter().chain([uploader]) {
        assert!(process.terminate().await.success());
    }
    assert!(!place.log().contains(PASSWORD), "a log shows the password");
}
