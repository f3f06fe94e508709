//! Numbers keep their digits, from the reply to the result: none passes through a binary fraction.

use crate::harness::{Place, id, run};
use serde_json::{Value, json};

const TEXT: &str = "Container 618203945570021\nSerial 98765432109876543210987\nYield 0.9876543210987654321\n\
                    Net 70,000,000,000,000,000.13\nVAT 3,300,000,000,000,000.02\n\
                    Total 73,300,000,000,000,000.15\n";

const REPLY: &str = r#"{"container": 618203945570021, "serial": 98765432109876543210987,
    "yield": 0.9876543210987654321, "net": 70000000000000000.13, "vat": 3300000000000000.02,
    "total": 73300000000000000.15}"#;

fn schema() -> Value {
    let number = |kind: &str| json!({ "type": kind });
    json!({
        "type": "object",
        "properties": {
            "container": number("integer"), "serial": number("integer"), "yield": number("number"),
            "net": number("number"), "vat": number("number"), "total": number("number"),
        },
        "required": ["container", "serial", "yield", "net", "vat", "total"],
        "x-sluice": { "checks": ["net + vat == total", "net + vat + 0.02 == total"] },
    })
}

/// What a result must say, as text: a JSON parser may already have rounded what it gives.
fn check(result: &str) {
    for digits in [
        "618203945570021",
        "98765432109876543210987",
        "0.9876543210987654321",
        "70000000000000000.13",
        "3300000000000000.02",
        "73300000000000000.15",
    ] {
        assert!(result.contains(digits), "{digits} is missing from {result}");
    }
    let result: Value = serde_json::from_str(result).unwrap();
    for (pointer, field) in result["fields"].as_object().unwrap() {
        // The check that does not hold puts into conflict what it compares.
        let is_compared = matches!(pointer.as_str(), "/net" | "/vat" | "/total");
        let expected = if is_compared { "conflict" } else { "verified" };
        assert_eq!(field["status"], expected, "{pointer}: {result}");
        assert!(field["evidence"][0]["quote"].is_string(), "{pointer}: {result}");
    }
    let checks: Vec<_> = result["checks"].as_array().unwrap().iter().map(|c| &c["ok"]).collect();
    assert_eq!(checks, [true, false], "{result}");
}

#[tokio::test]
async fn every_digit_of_a_reply_is_in_the_result() {
    let place = Place::answering(REPLY).await;
    let sluice = place.start("up").await;
    place.put_schema("shipment", &schema()).await;
    let document = place.upload("a.txt", "shipment", TEXT.into()).await;
    place.extraction(&document).await;
    let url = place.url(&format!("/v1/documents/{}/result", id(&document)));
    check(&place.http.get(url).send().await.unwrap().text().await.unwrap());
    // A saved reply has them, too: the same question again is not paid for.
    let again = place.upload("b.txt", "shipment", TEXT.into()).await;
    let extraction = place.extraction(&again).await;
    assert_eq!(extraction["usage"]["replayed"], 1, "{extraction}");
    check(&extraction.to_string());
    drop(sluice);
    let here = place.folder.path();
    std::fs::write(here.join("schema.json"), schema().to_string()).unwrap();
    std::fs::write(here.join("a.txt"), TEXT).unwrap();
    let (code, out, err) = run(&["extract", "a.txt", "--schema", "schema.json"], here, &[]).await;
    assert_eq!(code, 0, "{err}");
    check(&out);
}
