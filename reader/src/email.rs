//! E-mails: who writes to whom about what, the text, and what is attached.

use super::{
    html,
    limits::TextError,
    pages::{Member, Pages},
    plain,
};
use mail_parser::{Address, Message, MessageParser, MessagePart, MimeHeaders, PartType};

/// Part of replay keys: change it whenever the same bytes give other pages.
const ENGINE: &str = "email-2";

fn parse(bytes: &[u8]) -> Result<Message<'_>, TextError> {
    let broken = || TextError::Unreadable("it is no e-mail".to_owned());
    MessageParser::default().parse(bytes).ok_or_else(broken)
}

/// Reads the message as one page, and names what is attached to it.
pub(super) fn read(bytes: &[u8]) -> Result<Pages, TextError> {
    let message = parse(bytes)?;
    let mut page = String::new();
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            page.push_str(&format!("{name}: {value}\n"));
        }
    };
    line("From", message.from().map(shown));
    line("To", message.to().map(shown));
    line("Cc", message.cc().map(shown));
    line("Date", message.date().map(|date| date.to_rfc3339()));
    line("Subject", message.subject().map(str::to_owned));
    page.push('\n');
    let head = page.len();
    // The same text is there as HTML, mostly; what people see is that.
    let is_html = |part: &&mail_parser::MessagePart<'_>| matches!(part.body, PartType::Html(_));
    for part in message.html_bodies() {
        match &part.body {
            PartType::Html(html) if is_html(&part) => {
                let pages = html::read(html.as_bytes(), None)?;
                pages.pages.iter().for_each(|read| page.push_str(&read.text));
            }
            PartType::Text(text) => page.push_str(&text.replace("\r\n", "\n")),
            _ => {}
        }
        page.push('\n');
    }
    let members = attached(&message).enumerate().map(|(number, part)| {
        let unnamed = || format!("attachment {}", number + 1);
        let name = part.attachment_name().map_or_else(unnamed, str::to_owned);
        Member::new(&name, declared(part))
    });
    let members: Vec<_> = members.take(Pages::MEMBERS_MAX).collect();
    // Without words of its own it only carries what is attached.
    let is_cover =
        !members.is_empty() && page.get(head..).is_some_and(|body| body.trim().is_empty());
    Ok(Pages { members, is_cover, ..plain::of_texts(ENGINE, [page]) })
}

/// The bytes of the attachment of this number, counted from 0.
pub(super) fn member(bytes: &[u8], number: usize) -> Result<Option<Vec<u8>>, TextError> {
    let message = parse(bytes)?;
    Ok(attached(&message).nth(number).map(|part| part.contents().to_vec()))
}

/// What is attached, but the pictures that the text itself shows.
fn attached<'a>(message: &'a Message<'a>) -> impl Iterator<Item = &'a MessagePart<'a>> {
    let is_shown = |part: &&MessagePart<'_>| {
        let is_picture = part.content_type().is_some_and(|kind| kind.ctype() == "image");
        is_picture && part.content_id().is_some()
    };
    message.attachments().filter(move |part| !is_shown(part))
}

fn shown(addresses: &Address<'_>) -> String {
    let one = |address: &mail_parser::Addr<'_>| match (&address.name, &address.address) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => {
            name.as_ref().or(address.as_ref()).map_or_else(String::new, |text| text.to_string())
        }
    };
    addresses.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What the mail says that a part is. Its text was decoded on the way.
fn declared(part: &MessagePart<'_>) -> Option<String> {
    let kind = part.content_type()?;
    let is_decoded = matches!(part.body, PartType::Text(_) | PartType::Html(_));
    let charset = if is_decoded { Some("utf-8") } else { kind.attribute("charset") };
    let charset = charset.map(|charset| format!("; charset={charset}")).unwrap_or_default();
    let kind = format!("{}/{}{charset}", kind.ctype(), kind.subtype().unwrap_or_default());
    (kind.chars().count() <= Member::NAME_CHARS_MAX).then_some(kind)
}
