//! What the seeds of a session give: shares of inputs, zero shares, streams of masks.

use super::Session;
use crate::error::Error;
use crate::rand::{MaskSite, MaskSwitch, Prg, Seed};
use crate::ring::Ring;
use crate::share::Shared;

impl Session {
    /// A share of a column vector that `owner` holds. Without traffic.
    ///
    /// `values` is given by the owner and by nobody else; `len` is public. Masks:
    /// [`MaskSite::InputShare`]. Source: docs/protocols.md 1.
    ///
    /// # Errors
    /// When the owner gives no values, or not `len` of them, or a round was interrupted.
    pub fn share_input<R: Ring>(
        &mut self,
        owner: usize,
        values: Option<&[R]>,
        len: usize,
    ) -> Result<Shared<R>, Error> {
        self.usable()?;
        if self.me != owner {
            let stream = self.stream(owner, MaskSite::InputShare)?;
            return Ok(Shared::column(stream.elements(len, R::BITS).to_vec()));
        }
        let values = values
            .filter(|values| values.len() == len)
            .ok_or_else(|| Error::internal(format!("the owner of an input gives {len} values")))?;
        let mut share = Shared::column(values.to_vec());
        for peer in self.other_parties() {
            self.stream(peer, MaskSite::InputShare)?.subtract_from(share.as_mut_slice(), R::BITS);
        }
        Ok(share)
    }

    /// Adds a fresh zero share mod 2^`bits`: the parties' additions sum to zero
    /// (docs/protocols.md 1).
    pub(crate) fn add_zero_share<R: Ring>(
        &mut self,
        site: MaskSite,
        share: &mut Shared<R>,
        bits: u32,
    ) -> Result<(), Error> {
        for peer in self.other_parties() {
            let lower = self.me < peer;
            let stream = self.stream(peer, site)?;
            if lower {
                stream.add_to(share.as_mut_slice(), bits);
            } else {
                stream.subtract_from(share.as_mut_slice(), bits);
            }
        }
        Ok(())
    }

    /// The stream that this node shares with `peer` for `site`.
    pub(crate) fn stream(&mut self, peer: usize, site: MaskSite) -> Result<&mut Prg, Error> {
        let seed = self
            .seeds
            .get(peer)
            .and_then(Option::as_ref)
            .ok_or_else(|| Error::internal(format!("no seed is shared with node {peer}")))?;
        let switch = self.switch;
        Ok(self.streams.entry((peer, site)).or_insert_with(|| Prg::under(seed, site, switch)))
    }

    /// A stream of its own with `peer` for `site`, from its beginning: the caller sees to it that it
    /// is opened once.
    pub(crate) fn new_stream(&self, peer: usize, site: MaskSite) -> Result<Prg, Error> {
        let seed = self.seeds.get(peer).and_then(Option::as_ref);
        let seed = seed.ok_or_else(|| Error::internal(format!("no seed with node {peer}")))?;
        Ok(Prg::under(seed, site, self.switch))
    }

    /// A seed in common with `peer` for the purpose `domain`; none with this node itself.
    pub(crate) fn pair_seed(&self, peer: usize, domain: &str) -> Option<Seed> {
        self.seeds.get(peer).and_then(Option::as_ref).map(|seed| seed.derive(domain))
    }

    /// The masks that a test has switched off in this session.
    pub(crate) fn switch(&self) -> MaskSwitch {
        self.switch
    }

    /// Switches a mask off in this session and what is forked from it: its streams return zeros. To
    /// be called before anything is drawn. For tests that show that a missing mask is noticed.
    #[cfg(feature = "insecure-test-masks")]
    pub fn insecure_switch_off(&mut self, site: Option<MaskSite>) {
        self.switch = MaskSwitch::new(site);
    }
}
