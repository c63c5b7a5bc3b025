//! TLS 1.3 with raw Ed25519 keys in both directions (RFC 7250).
//!
//! There are no certificates, authorities, names or dates: a node *is* its key, and a peer is
//! who it is because its key is pinned in the configuration. Sessions are never resumed, so that
//! every connection proves its key anew.

use std::sync::{Arc, Mutex, PoisonError};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, PeerIncompatible, SignatureScheme,
};
use rustls_pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};

use super::identity::{Identity, PublicKey};
use crate::NetError;

/// The protocol name of the TLS handshake. Versions are negotiated in the hello behind it, where
/// a mismatch can be explained to a person.
pub(crate) const NODES: &[u8] = b"mpc-net";

/// The same between a node and a relay.
pub(crate) const RELAY: &[u8] = b"mpc-relay";

/// The same for nodes that only look whether they reach each other.
pub(crate) const CHECKUP: &[u8] = b"mpc-checkup/1";

/// The server name that QUIC wants and nobody reads.
pub(crate) const SERVER_NAME: &str = "node";

/// Accepts exactly the pinned keys, as client and as server, and remembers the key it refused.
#[derive(Debug)]
pub(crate) struct PinnedKeys {
    pinned: Vec<PublicKey>,
    refused: Mutex<Option<PublicKey>>,
    provider: Arc<CryptoProvider>,
}

impl PinnedKeys {
    pub(crate) fn new(pinned: Vec<PublicKey>) -> Arc<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Arc::new(Self { pinned, refused: Mutex::new(None), provider })
    }

    /// The key that was shown and is not pinned.
    pub(crate) fn refused(&self) -> Option<PublicKey> {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), rustls::Error> {
        let key = PublicKey::from_spki(shown)
            .filter(|_| intermediates.is_empty())
            .ok_or(rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if self.pinned.contains(&key) {
            return Ok(());
        }
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn check_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(shown.as_ref()),
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }
}

fn no_tls12() -> rustls::Error {
    rustls::Error::PeerIncompatible(PeerIncompatible::Tls13RequiredForQuic)
}

impl ServerCertVerifier for PinnedKeys {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for PinnedKeys {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

fn own_key(identity: &Identity) -> Result<Arc<CertifiedKey>, NetError> {
    let der = identity.to_pkcs8_der();
    let key = rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(der.as_slice()))
        .map_err(internal)?;
    let spki = CertificateDer::from(identity.public_key().spki().to_vec());
    Ok(Arc::new(CertifiedKey::new(vec![spki], key)))
}

/// The configuration for dialling a node that has to show one of the keys of `verifier`, for the
/// protocol of this name.
pub(crate) fn client_for(
    protocol: &[u8],
    identity: &Identity,
    verifier: &Arc<PinnedKeys>,
) -> Result<rustls::ClientConfig, NetError> {
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(internal)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(verifier) as Arc<dyn ServerCertVerifier>)
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(own_key(
            identity,
        )?)));
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

/// The configuration for answering a node that has to show one of the keys of `verifier`, for the
/// protocol of this name.
pub(crate) fn server_for(
    protocol: &[u8],
    identity: &Identity,
    verifier: &Arc<PinnedKeys>,
) -> Result<rustls::ServerConfig, NetError> {
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&verifier.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(internal)?
        .with_client_cert_verifier(Arc::clone(verifier) as Arc<dyn ClientCertVerifier>)
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(own_key(identity)?)));
    config.alpn_protocols = vec![protocol.to_vec()];
    if protocol == NODES {
        // A node that can be met can be looked at too.
        config.alpn_protocols.push(CHECKUP.to_vec());
    }
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// The same for QUIC.
pub(crate) fn quic_client(
    protocol: &[u8],
    identity: &Identity,
    verifier: &Arc<PinnedKeys>,
) -> Result<Arc<QuicClientConfig>, NetError> {
    let config = client_for(protocol, identity, verifier)?;
    QuicClientConfig::try_from(config).map(Arc::new).map_err(internal)
}

/// The same for QUIC.
pub(crate) fn quic_server(
    protocol: &[u8],
    identity: &Identity,
    verifier: &Arc<PinnedKeys>,
) -> Result<Arc<QuicServerConfig>, NetError> {
    let config = server_for(protocol, identity, verifier)?;
    QuicServerConfig::try_from(config).map(Arc::new).map_err(internal)
}

/// The key that the other end of a connection has proved to hold.
pub(crate) fn peer_key(connection: &quinn::Connection) -> Option<PublicKey> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast_ref::<Vec<CertificateDer<'static>>>()?;
    key_in(chain)
}

/// The key in what the other end of a TLS connection has shown.
pub(crate) fn key_in(chain: &[CertificateDer<'_>]) -> Option<PublicKey> {
    PublicKey::from_spki(chain.first()?)
}

fn internal(error: impl std::fmt::Display) -> NetError {
    NetError::Internal(format!("TLS: {error}"))
}
