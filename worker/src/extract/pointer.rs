//! JSON pointers (RFC 6901) as what they are made of, and what stands at them.
//!
//! It must know nothing of schemas.

use serde_json::Value;

/// The tokens of a pointer: names of properties and indexes of items.
pub fn tokens(pointer: &str) -> Vec<String> {
    let tokens = pointer.split('/').skip(1);
    tokens.map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
}

/// The pointer of these tokens.
pub fn of(tokens: &[String]) -> String {
    let escaped =
        tokens.iter().map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1")));
    escaped.collect()
}

/// Puts a value where a pointer leads, as a new property where there is none. False where there is
/// nothing to put it into.
pub fn put(data: &mut Value, pointer: &str, value: Value) -> bool {
    if let Some(place) = data.pointer_mut(pointer) {
        *place = value;
        return true;
    }
    let mut tokens = tokens(pointer);
    let Some(name) = tokens.pop() else { return false };
    match data.pointer_mut(&of(&tokens)).and_then(Value::as_object_mut) {
        Some(object) => object.insert(name, value).is_none(),
        None => false,
    }
}

/// Removes what stands where a pointer leads: a property, or an item of a list, after which the
/// later items have other places.
pub fn remove(data: &mut Value, pointer: &str) -> Option<Value> {
    let mut tokens = tokens(pointer);
    let name = tokens.pop()?;
    match data.pointer_mut(&of(&tokens))? {
        Value::Object(object) => object.shift_remove(&name),
        Value::Array(items) => {
            let index = name.parse().ok().filter(|index| *index < items.len())?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_stands_at_a_pointer_is_put_and_removed() {
        let mut data = json!({ "a/b": { "~": 1 }, "list": [1, 2, 3] });
        assert_eq!(of(&tokens("/a~1b/~0")), "/a~1b/~0");
        assert!(put(&mut data, "/a~1b/~0", json!(2)));
        assert!(put(&mut data, "/new", json!(null)));
        assert!(!put(&mut data, "/list/7", json!(1)) && !put(&mut data, "/no/x", json!(1)));
        assert_eq!(remove(&mut data, "/list/1"), Some(json!(2)));
        assert_eq!((remove(&mut data, "/list/2"), remove(&mut data, "/no")), (None, None));
        assert_eq!(remove(&mut data, "/new"), Some(json!(null)));
        assert_eq!(data, json!({ "a/b": { "~": 2 }, "list": [1, 3] }));
        assert_eq!((remove(&mut data, ""), tokens("").len()), (None, 0));
    }
}
