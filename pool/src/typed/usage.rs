//! The tokens of a call, as the provider counted them.

use serde_json::Value;

/// The tokens of a call, as the provider counted them; zero where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the question.
    pub tokens_input: u64,
    /// Those of them that were read from the provider's cache.
    pub tokens_cached: u64,
    /// Tokens of the answer, thinking included.
    pub tokens_output: u64,
    /// Those of them that the model thought with.
    pub tokens_reasoning: u64,
}

impl Usage {
    /// The `usage` of a response or of an event of a stream, in the form of chat completions or of
    /// the Responses API; none where there is none.
    pub fn of(body: &Value) -> Option<Self> {
        let usage = body.get("usage").filter(|usage| usage.is_object());
        usage.or_else(|| body.pointer("/response/usage")).and_then(Self::read)
    }

    /// The member `usage` itself.
    pub(crate) fn read(usage: &Value) -> Option<Self> {
        let counts = usage.as_object()?;
        let count = |names: [&str; 2]| {
            names.iter().find_map(|name| counts.get(*name)?.as_u64()).unwrap_or_default()
        };
        let detail = |names: [&str; 2], detail| {
            let details = names.iter().find_map(|name| counts.get(*name)?.get(detail));
            details.and_then(Value::as_u64).unwrap_or_default()
        };
        let tokens_input = count(["prompt_tokens", "input_tokens"]);
        let tokens_reasoning =
            detail(["completion_tokens_details", "output_tokens_details"], "reasoning_tokens");
        let said = count(["completion_tokens", "output_tokens"]);
        // Some providers count the thinking apart, and only in the total.
        let total = counts.get("total_tokens").and_then(Value::as_u64).unwrap_or_default();
        let is_apart = total == tokens_input + said + tokens_reasoning;
        Some(Self {
            tokens_input,
            tokens_cached: detail(
                ["prompt_tokens_details", "input_tokens_details"],
                "cached_tokens",
            ),
            tokens_output: if is_apart { said + tokens_reasoning } else { said },
            tokens_reasoning,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_forms_are_read() {
        let check = |body: Value, expected: Option<[u64; 4]>| {
            let usage = Usage::of(&body).map(|usage| {
                let Usage { tokens_input, tokens_cached, tokens_output, tokens_reasoning } = usage;
                [tokens_input, tokens_cached, tokens_output, tokens_reasoning]
            });
            assert_eq!(usage, expected, "{body}");
        };
        let chat = json!({
            "prompt_tokens": 12, "prompt_tokens_details": { "cached_tokens": 8 },
            "completion_tokens": 5, "completion_tokens_details": { "reasoning_tokens": 2 },
        });
        check(json!({ "usage": chat }), Some([12, 8, 5, 2]));
        let responses = json!({
            "input_tokens": 12, "input_tokens_details": { "cached_tokens": 8 },
            "output_tokens": 5, "output_tokens_details": { "reasoning_tokens": 2 },
        });
        check(json!({ "usage": responses }), Some([12, 8, 5, 2]));
        check(json!({ "response": { "usage": responses } }), Some([12, 8, 5, 2]));
        let apart = json!({
            "prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 24,
            "completion_tokens_details": { "reasoning_tokens": 7 },
        });
        check(json!({ "usage": apart }), Some([12, 0, 12, 7]));
        // Embeddings have no answer.
        check(json!({ "usage": { "prompt_tokens": 9, "total_tokens": 9 } }), Some([9, 0, 0, 0]));
        for none in [json!({}), json!({ "usage": null }), json!([]), json!({ "usage": 3 })] {
            check(none, None);
        }
    }
}
