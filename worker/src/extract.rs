//! From pages to questions, and from answers to a typed result with its proof. Pure functions.
//!
//! It must know nothing of stores, deployments or processes. A module uses only modules listed
//! above it.

pub mod node;
pub mod pointer;
pub mod budget;
pub mod carry;
pub mod sizes;
pub mod prompt;
pub mod compiled;
pub mod reading;
pub mod ascii;
pub mod language;
pub mod currency;
pub mod number;
pub mod numeral;
pub mod month;
pub mod date;
pub mod time;
pub mod convert;
pub mod validate;
pub mod cut;
pub mod gained;
pub mod subschema;
pub mod repair;
pub mod set_aside;
pub mod merge;
pub mod code;
pub mod concept;
pub mod lexicon;
pub mod words;
pub mod document_text;
pub mod label;
pub mod meaning;
pub mod evidence;
pub mod role;
pub mod rules;
pub mod form;
pub mod embedded;
pub mod explain;
pub mod propose;
pub mod several;
pub mod shown;
