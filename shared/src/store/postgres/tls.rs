//! Whether a connection is encrypted, and whom it trusts: libpq's modes on rustls.

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use std::{path::PathBuf, sync::Arc};

/// Whom a connection trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    /// It is not encrypted.
    Off,
    /// Anybody: it keeps out who only listens.
    Unverified,
    /// A certificate of these authorities, whatever its name.
    Authority(Roots),
    /// A certificate of these authorities for the name of the host.
    AuthorityAndName(Roots),
}

/// Which authorities are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// Those of the operating system.
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

impl Tls {
    /// The configuration of the client, if it is to encrypt.
    pub(super) fn client(self) -> Result<Option<ClientConfig>, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = |roots: Roots| {
            let roots = Arc::new(roots.load()?);
            WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
                .build()
                .map_err(|error| format!("sslrootcert cannot be used: {error}"))
        };
        let verifier: Arc<dyn ServerCertVerifier> = match self {
            Self::Off => return Ok(None),
            Self::Unverified => Arc::new(Lenient { chain: None, provider: provider.clone() }),
            Self::Authority(roots) => {
                Arc::new(Lenient { chain: Some(chain(roots)?), provider: provider.clone() })
            }
            Self::AuthorityAndName(roots) => chain(roots)?,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be used: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Some(config))
    }
}

impl Roots {
    fn load(self) -> Result<RootCertStore, String> {
        let mut store = RootCertStore::empty();
        let certificates = match self {
            Self::System => rustls_native_certs::load_native_certs().certs,
            Self::File(file) => {
                let bytes = std::fs::read(&file)
                    .map_err(|error| format!("cannot read sslrootcert: {error}"))?;
                let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
                read.map_err(|error| format!("sslrootcert is not a PEM file: {error}"))?
            }
        };
        let (added, _) = store.add_parsable_certificates(certificates);
        match added {
            0 => Err("there is no authority to trust: install the package ca-certificates, or \
                      name a PEM file that holds one with sslrootcert=FILE"
                .to_owned()),
            _ => Ok(store),
        }
    }
}

/// Asks for less than the name of the host: only for an authority, or for nothing.
#[derive(Debug)]
struct Lenient {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last: everything else was right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
