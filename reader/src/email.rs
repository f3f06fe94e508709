//! E-mails: who writes to whom about what, the text, and what is attached.

use super::{html, limits::TextError, pages::Pages, plain};
use mail_parser::{Address, MessageParser, MimeHeaders, PartType};

/// Part of replay keys: change it whenever the same bytes give other pages.
const ENGINE: &str = "email-1";

/// One file that an e-mail carries.
pub(super) struct Attachment {
    pub(super) name: String,
    /// As the mail declares it.
    pub(super) content_type: Option<String>,
    pub(super) bytes: Vec<u8>,
}

/// Reads the message as one page, and gives what is attached to it.
pub(super) fn read(bytes: &[u8]) -> Result<(Pages, Vec<Attachment>), TextError> {
    let broken = || TextError::Unreadable("it is no e-mail".to_owned());
    let message = MessageParser::default().parse(bytes).ok_or_else(broken)?;
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
    let attachments = message.attachments().enumerate().map(|(number, part)| Attachment {
        name: part
            .attachment_name()
            .map_or_else(|| format!("attachment {}", number + 1), str::to_owned),
        content_type: part.content_type().map(declared),
        bytes: part.contents().to_vec(),
    });
    let attachments = attachments.collect();
    Ok((plain::of_texts(ENGINE, [page]), attachments))
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

fn declared(content_type: &mail_parser::ContentType<'_>) -> String {
    let charset = content_type.attribute("charset");
    let charset = charset.map(|charset| format!("; charset={charset}")).unwrap_or_default();
    format!("{}/{}{charset}", content_type.ctype(), content_type.subtype().unwrap_or_default())
}
