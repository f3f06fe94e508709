//! An image in a question: taken out of its data URL, decoded, and measured as the service does.

use base64::{Engine, engine::general_purpose::STANDARD};
use image::load_from_memory;
use serde_json::Value;

/// What an image counts as at all, and for each tile, with `detail: high`, by the models of the family
/// `gpt-4o` (OpenAI's guide "Images and vision").
const TOKENS: u64 = 85;
const TOKENS_TILE: u64 = 170;

/// Sides in pixels: what an image is made to fit into, its shorter side at most, and that of a tile.
const SQUARE: u64 = 2048;
const SHORT_SIDE: u64 = 768;
const TILE: u64 = 512;

/// The tokens of a part `image_url` of a message.
///
/// # Errors
/// What the service says of an address that it cannot take.
pub(crate) fn tokens(part: &Value) -> Result<u64, String> {
    let url = part.pointer("/image_url/url").and_then(Value::as_str).unwrap_or_default();
    let Some((kind, data)) = url.strip_prefix("data:image/").and_then(|url| url.split_once(','))
    else {
        return Err("The simulator takes images only as data URLs.".to_owned());
    };
    let bytes = kind.ends_with(";base64").then(|| STANDARD.decode(data).ok()).flatten();
    let bytes = bytes.ok_or("Invalid base64 image_url.")?;
    let image = load_from_memory(&bytes).map_err(|_| {
        "You uploaded an unsupported image. Please make sure your image has of one the following \
         formats: ['png', 'jpeg', 'gif', 'webp']."
    })?;
    Ok(match part.pointer("/image_url/detail").and_then(Value::as_str) {
        Some("low") => TOKENS,
        _ => tokens_of(image.width().into(), image.height().into()),
    })
}

fn tokens_of(width: u64, height: u64) -> u64 {
    let fit = |most: u64, side: u64, by: u64| if by > most { side * most / by } else { side };
    let longest = width.max(height);
    let (width, height) = (fit(SQUARE, width, longest), fit(SQUARE, height, longest));
    let shortest = width.min(height);
    let (width, height) = (fit(SHORT_SIDE, width, shortest), fit(SHORT_SIDE, height, shortest));
    TOKENS + TOKENS_TILE * width.div_ceil(TILE) * height.div_ceil(TILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of OpenAI's guide.
    #[test]
    fn tiles_are_counted_as_the_service_counts_them() {
        for (width, height, expected) in [(1024, 1024, 765), (2048, 4096, 1105), (512, 512, 255)] {
            assert_eq!(tokens_of(width, height), expected, "{width} x {height}");
        }
    }
}
