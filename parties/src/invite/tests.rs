use super::*;
use crate::identity::Identity;

fn identity() -> Identity {
    let folder = tempfile::tempdir().unwrap();
    Identity::create(&folder.path().join("identity.key")).unwrap()
}

fn invite() -> Invite {
    Invite {
        name: "bank-a".parse().unwrap(),
        key: identity().fingerprint(),
        addresses: vec!["mpc.bank-a.example:7400".parse().unwrap()],
        links: Links::default(),
    }
}

/// A text with these fields, whatever they are.
fn text_of(version: u8, fields: &[u8]) -> String {
    let mut bytes = vec![version];
    bytes.extend_from_slice(&(fields.len() as u16).to_be_bytes());
    bytes.extend_from_slice(fields);
    let sum = check(&bytes);
    bytes.extend_from_slice(&sum);
    PREFIX.to_owned() + &base32().encode(&bytes)
}

#[test]
fn an_invitation_is_one_word_that_survives_a_mail() {
    let (one, mut two) = (invite(), invite());
    two.addresses.push("[2001:db8::1]:7400".parse().unwrap());
    let text = one.to_string();
    assert!(text.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit()), "{text}");
    assert!(text.len() < 140, "{}", text.len());
    assert_eq!(Invite::find(&text).unwrap(), std::slice::from_ref(&one));
    assert_eq!(Invite::find(&text.to_uppercase()).unwrap(), std::slice::from_ref(&one));
    let broken = |text: &str| {
        let lines: Vec<&str> =
            text.as_bytes().chunks(70).map(|it| std::str::from_utf8(it).unwrap()).collect();
        lines.join("\r\n> ")
    };
    // A word that is broken in its first letters is not found; mail programs break at their right margin.
    let mail =
        format!("Dear all,\n> {}\nregards\n\n{}\n-- \nA", broken(&text), broken(&two.to_string()));
    assert_eq!(Invite::find(&mail).unwrap(), [one, two]);
}

#[test]
fn every_change_is_noticed() {
    let text = invite().to_string();
    for at in PREFIX.len()..text.len() {
        for symbol in ["a", "q", "7"] {
            let mut changed = text.clone();
            changed.replace_range(at..=at, symbol);
            assert!(changed == text || Invite::find(&changed).is_err(), "{at}: {symbol}");
        }
        assert!(matches!(Invite::find(&text[..at]), Err(InviteError::Cut)), "cut at {at}");
    }
    assert_eq!(Invite::find("hello"), Err(InviteError::None));
    assert_eq!(Invite::find(&text_of(2, &[])), Err(InviteError::Version(2)));
}

#[test]
fn fields_to_come_are_passed_over_or_refused() {
    let one = invite();
    let name = [[NAME, 6].as_slice(), b"bank-a"].concat();
    let key = [[KEY, 32].as_slice(), one.key.as_bytes()].concat();
    let read = |fields: &[&[u8]]| Invite::find(&text_of(VERSION, &fields.concat()));
    let relay = [[OPTIONAL, 3].as_slice(), b"xyz"].concat();
    let bare = Invite { addresses: Vec::new(), ..one.clone() };
    assert_eq!(read(&[&name, &relay, &key]).unwrap(), [bare]);
    assert_eq!(read(&[&name, &key, &[5, 0]]), Err(InviteError::Field(5)));
    for fields in [
        vec![name.as_slice()],
        vec![&key],
        vec![&name, &key, &name],
        vec![&name, &key, &key],
        vec![&name, &key, &[ADDRESS, 9, 1]],
        vec![&name, &key, &[ADDRESS]],
        vec![&name, &key, &[ADDRESS, 1, b'x']],
        vec![&name, &key, &[LINK, 1, b'x']],
        vec![&[NAME, 2, b'-', b'x'], &key],
        vec![&[NAME, 1, 0xff], &key],
    ] {
        assert!(matches!(read(&fields), Err(InviteError::Malformed(_))), "{fields:?}");
    }
}

#[test]
fn keys_before_have_signed_the_next_ones() {
    let (first, second, third) = (identity(), identity(), identity());
    let links = Links::default()
        .with(Link::sign(&first, &second.fingerprint(), 1000))
        .with(Link::sign(&second, &third.fingerprint(), 2000));
    let one = Invite { key: third.fingerprint(), links: links.clone(), ..invite() };
    let read = Invite::find(&one.to_string()).unwrap().remove(0);
    assert_eq!(read, one);
    assert_eq!(read.links.follows(&first.fingerprint()).unwrap().at, 1000);
    assert!(read.links.follows(&third.fingerprint()).is_none());
    let key = third.fingerprint();
    assert_eq!(Links::from_text(&links.to_text(), &key), Some(links.clone()));
    assert_eq!(Links::from_text("00", &key), None);

    // Signed by another key, for another key, at another time, or in another order.
    let all: Vec<Link> = links.iter().cloned().collect();
    let refused = |links: Vec<Link>| Links::new(links, &key) == Err(LinkError::Unsigned);
    assert!(refused(vec![all[0].clone()]) && refused(vec![all[1].clone(), all[0].clone()]));
    assert!(refused(vec![all[0].clone(), Link { at: 2001, ..all[1].clone() }]));
    assert!(refused(vec![Link { old: first.fingerprint(), ..all[1].clone() }]));
    let forged = Invite { links: Links::new(vec![], &key).unwrap().with(all[0].clone()), ..one };
    assert!(matches!(Invite::find(&forged.to_string()), Err(InviteError::Malformed(_))));

    // A node that had many keys tells of the last ones.
    let mut keys = vec![identity()];
    let mut links = Links::default();
    for at in 0..7 {
        let next = identity();
        links = links.with(Link::sign(&keys[at], &next.fingerprint(), at as u64));
        keys.push(next);
    }
    let last = keys[7].fingerprint();
    assert_eq!(Links::new(links.iter().cloned().collect(), &last), Ok(links.clone()));
    assert!(links.follows(&keys[3].fingerprint()).is_some());
    assert!(links.follows(&keys[2].fingerprint()).is_none());
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "partyinvite1[a-z2-7 >\n]{0,200}", body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = Invite::find(&text);
        let _ = Invite::find(&text_of(VERSION, &body));
    }
}
