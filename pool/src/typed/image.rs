//! An image beside the words of a question.

use bytes::Bytes;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use sha2::{Digest, Sha256};

/// An image as PNG. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The file.
    pub png: Bytes,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

impl Image {
    /// SHA-256 of the file: the image's part in what decides an answer.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.png).into()
    }
}

/// Its size and its hash, in place of the file.
impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut image = serializer.serialize_struct("Image", 3)?;
        image.serialize_field("width", &self.width)?;
        image.serialize_field("height", &self.height)?;
        image.serialize_field("sha256", &format!("{:x?}", self.hash()))?;
        image.end()
    }
}
