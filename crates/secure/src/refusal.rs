//! What went wrong between two ends, in words, and what to do about it.

use std::io;

use rustls::{AlertDescription as Alert, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// Why a chain of certificates is not valid.
pub(crate) fn of_chain(e: &webpki::Error) -> String {
    use webpki::Error as E;
    match e {
        E::CertExpired { .. } => "it has expired; have it renewed".into(),
        E::CertNotValidYet { .. } => "it is not valid yet; compare the clocks".into(),
        // Of an authority with the same name, and another key.
        E::UnknownIssuer | E::InvalidSignatureForPublicKey => "another authority signed it".into(),
        E::CaUsedAsEndEntity => "it is an authority's own certificate, not one that it signed".into(),
        other => format!("{other:?}"),
    }
}

/// Names for people.
pub(crate) fn listed(names: &[String]) -> String {
    if names.is_empty() { "nobody that it names".into() } else { names.join(", ") }
}

/// Why a connection ended, if TLS is why; of the other side, "it".
pub fn of_io(e: &io::Error) -> Option<String> {
    Some(of_tls(e.get_ref()?.downcast_ref::<Error>()?))
}

/// Why a handshake failed; `None` if it may have been done, and something said behind it.
pub fn of_handshake(e: &Error) -> Option<String> {
    let failed = match e {
        Error::InvalidCertificate(_) => true,
        // Whoever dials believes that it is done before the other side has looked at the certificate.
        Error::AlertReceived(alert) => matches!(
            alert,
            Alert::CertificateRequired
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::BadCertificate
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError
                | Alert::HandshakeFailure
                | Alert::ProtocolVersion
        ),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => true,
        _ => false,
    };
    failed.then(|| of_tls(e))
}

fn of_tls(e: &Error) -> String {
    match e {
        Error::NoCertificatesPresented => {
            "it shows no certificate; start it with the cluster's file: --deploy FILE".into()
        }
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS; start both sides with the same cluster's file: --deploy FILE".into()
        }
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired | PeerIncompatible::Tls13RequiredForQuic,
        ) => "it speaks an older TLS; this needs TLS 1.3".into(),
        other => format!("TLS failed: {other}"),
    }
}

fn of_certificate(why: &CertificateError) -> String {
    use CertificateError as C;
    match why {
        C::Expired | C::ExpiredContext { .. } => {
            "its certificate has expired; have it renewed: cutaway certs DIR --deploy FILE --renew".into()
        }
        C::NotValidYet | C::NotValidYetContext { .. } => {
            "its certificate is not valid yet; compare the clocks of both machines".into()
        }
        C::UnknownIssuer | C::BadSignature => {
            "its certificate is signed by another authority than this cluster's; give it one of this cluster"
                .into()
        }
        C::NotValidForNameContext { expected, presented } => {
            let presented: Vec<_> = presented.iter().map(|name| cut(name)).collect();
            format!(
                "its certificate is not of {}, but of {}; mend the address, or give it its own certificate",
                expected.to_str(),
                listed(&presented)
            )
        }
        other => format!("its certificate is refused: {other}"),
    }
}

/// `DnsName("n1.node…")`, as webpki writes it, for people.
fn cut(name: &str) -> String {
    name.split('"').nth(1).unwrap_or(name).into()
}

fn of_alert(alert: Alert) -> String {
    let why = match alert {
        Alert::CertificateRequired => "it wants a certificate, and was shown none",
        Alert::CertificateExpired => "it refuses our certificate, which has expired",
        Alert::UnknownCA | Alert::DecryptError => {
            "it refuses our certificate: another authority than its own signed it"
        }
        Alert::BadCertificate | Alert::CertificateUnknown | Alert::AccessDenied => {
            "it refuses our certificate"
        }
        Alert::ProtocolVersion => "it speaks another version of TLS",
        other => return format!("it refuses the connection: {other:?}"),
    };
    format!("{why}; what is wrong with ours, `cutaway deploy check FILE --name NAME` tells")
}
