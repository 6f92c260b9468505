use bytes::{Bytes, BytesMut};
use memchr::memmem;

use crate::credentials::{Credentials, HIDDEN};

/// Takes keys out of what passes, piece by piece. A piece without one goes through as it came; only an end that may be the
/// beginning of a key is held back until the next piece shows what it is.
pub(crate) struct Mask {
    keys: Vec<memmem::Finder<'static>>,
    held: Bytes,
}

impl Mask {
    /// Takes out these.
    pub(crate) fn new(credentials: &Credentials) -> Self {
        let keys = credentials.keys().map(|key| memmem::Finder::new(key).into_owned()).collect();
        Self { keys, held: Bytes::new() }
    }

    /// What may be passed on when this piece has come.
    pub(crate) fn pass(&mut self, piece: Bytes) -> Bytes {
        let mut whole = match self.held.is_empty() {
            true => piece,
            false => [std::mem::take(&mut self.held), piece].concat().into(),
        };
        for key in &self.keys {
            if let Some(first) = key.find(&whole) {
                whole = without(&whole, key, first);
            }
        }
        let held = self.keys.iter().map(|key| begun(&whole, key.needle())).max().unwrap_or(0);
        self.held = whole.split_off(whole.len() - held);
        whole
    }

    /// What is left at the end: it was no key.
    pub(crate) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.held)
    }
}

fn without(whole: &[u8], key: &memmem::Finder<'_>, first: usize) -> Bytes {
    let (mut hidden, mut from) = (BytesMut::with_capacity(whole.len()), 0);
    let mut next = Some(first);
    while let Some(place) = next {
        hidden.extend_from_slice(&whole[from..place]);
        hidden.extend_from_slice(HIDDEN.as_bytes());
        from = place + key.needle().len();
        next = key.find(&whole[from..]).map(|place| from + place);
    }
    hidden.extend_from_slice(&whole[from..]);
    hidden.freeze()
}

/// How many bytes at the end of a text are the beginning of a key, at most.
fn begun(text: &[u8], key: &[u8]) -> usize {
    let tail = &text[text.len().saturating_sub(key.len() - 1)..];
    let begins = memchr::memchr_iter(key[0], tail);
    begins.map(|place| &tail[place..]).find(|end| key.starts_with(end)).map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "sk-sk-canary";

    fn mask() -> Mask {
        let bearer = HeaderValue::from_str(&format!("Bearer {KEY}")).unwrap();
        Mask::new(&Credentials::of(&HeaderMap::from_iter([(AUTHORIZATION, bearer)])))
    }

    fn passed(pieces: &[&str]) -> Vec<String> {
        let mut mask = mask();
        let mut all: Vec<Bytes> =
            pieces.iter().map(|piece| mask.pass(Bytes::copy_from_slice(piece.as_bytes()))).collect();
        all.push(mask.rest());
        all.iter().map(|piece| String::from_utf8(piece.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_key_is_taken_out_wherever_pieces_are_cut_and_nothing_else_waits() {
        assert_eq!(passed(&["a sk-sk-canary, sk-sk-canary", " b"]), ["a [key], [key]", " b", ""]);
        assert_eq!(passed(&["a sk-sk", "-can", "ary b"]), ["a ", "", "[key] b", ""]);
        assert_eq!(passed(&["sk-sk-sk-canary"]), ["sk-[key]", ""]);
        assert_eq!(passed(&["sk-sk-", "sk-canary"]), ["", "sk-[key]", ""]);
        assert_eq!(passed(&["data: {}\n\n", "risk", "y"]), ["data: {}\n\n", "ri", "sky", ""]);
        assert_eq!(passed(&["it ends in sk-sk"]), ["it ends in ", "sk-sk"], "that was no key");
    }

    #[test]
    fn what_has_no_key_goes_through_as_it_came() {
        let piece = Bytes::from_static(b"data: {}\n\n");
        assert_eq!(mask().pass(piece.clone()).as_ptr(), piece.as_ptr());
        let any = Bytes::from_static(b"sk-sk-canary");
        assert_eq!(Mask::new(&Credentials::of(&HeaderMap::new())).pass(any.clone()), any);
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_it_is_cut(text in "(sk-|canary|sk-sk-canary|x){0,12}", cuts in proptest::collection::vec(0..80usize, 0..6)) {
            let mut places: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            places.sort_unstable();
            let pieces: Vec<&str> = places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let cut = passed(&pieces).concat();
            prop_assert!(!cut.contains(KEY), "{cut}");
            prop_assert_eq!(cut, text.replace(KEY, HIDDEN));
        }
    }
}
