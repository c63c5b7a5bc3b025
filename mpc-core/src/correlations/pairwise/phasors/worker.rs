//! What a party computes in the stages of one-hot phasors.

use super::*;

/// What moves to the worker thread and back.
pub(super) struct Worker {
    pub(super) pass: Pass,
    pub(super) layout: Layout,
    pub(super) batches: Vec<Option<link::Batch>>,
    pub(super) roots: Zeroizing<Vec<Z128>>,
    /// How many roots were used.
    pub(super) root: usize,
}

impl Worker {
    /// Where this party is the first, its own phasor is all there is.
    pub(super) fn begin(&mut self, me: usize) {
        let plan = self.pass.plan.clone();
        for e in self.pass.evaluations(me, 0) {
            let own = exact(&plan, self.pass.digits(e), true);
            let state = self.pass.state(e).as_chunks_mut::<2>().0;
            for (k, (state, &(c, s))) in state.iter_mut().zip(own.iter()).enumerate() {
                let entry = |v| nearest(v, plan.bits(k)) as i128 as u128 & mask(plan.ring(k));
                *state = [entry(c), entry(s)];
            }
        }
    }

    pub(super) fn send(
        &mut self,
        me: usize,
        stage: usize,
        links: &link::Links,
    ) -> Vec<Zeroizing<Vec<u8>>> {
        let plan = self.pass.plan.clone();
        let mut scratch = Scratch::new(links.len());
        let mut outgoing = vec![Zeroizing::new(Vec::new()); links.len()];
        for (peer, out) in outgoing.iter_mut().enumerate() {
            let (Some(link), Some(batch)) = (&links[peer], &self.batches[peer]) else { continue };
            let (first, binding) = (batch.sent.first, link.send.challenges());
            let mut digests = Vec::new();
            for (nth, e) in self.pass.meetings(me, peer, None).into_iter().enumerate() {
                if plan.place(e, peer) != stage {
                    continue;
                }
                let mut at = nth * plan.of().angle_bits as usize;
                for digit in 0..2 {
                    let root = self.roots[self.root].0.to_le_bytes();
                    self.root += 1;
                    one_hot::send(
                        (&plan, &self.layout, digit),
                        (peer, &link.send, &batch.sent, at),
                        root,
                        self.pass.state(e),
                        &mut scratch,
                        out,
                    );
                    at += plan.digits()[digit] as usize;
                }
                if let Some(binding) = binding {
                    digests.extend(scratch.shown[peer].close(binding, first, out, false));
                }
            }
            if let Some(binding) = binding {
                digests.extend(scratch.shown[peer].close(binding, first, out, true));
            }
            out.extend_from_slice(digests.as_flattened());
        }
        outgoing
    }

    /// Takes in what the peers sent in a stage; in place of it the peer that sent something else, and what
    /// is wrong with it.
    pub(super) fn receive(
        &mut self,
        me: usize,
        stage: usize,
        links: &link::Links,
        received: &[Zeroizing<Vec<u8>>],
    ) -> Result<(), (usize, &'static str)> {
        let plan = self.pass.plan.clone();
        let mut scratch = Scratch::new(links.len());
        let checked = links.iter().flatten().any(|link| link.receive.challenges().is_some());
        let [high, low] = plan.one_hot_bytes(checked);
        let bytes = high + low;
        let body = |peer: usize| self.pass.meetings(peer, me, Some(stage)).len() * bytes;
        let bodies: Vec<_> = (0..links.len()).map(|p| if p == me { 0 } else { body(p) }).collect();
        let mut done = vec![0; links.len()];
        let mut nth = vec![0; links.len()];
        for e in self.pass.range.clone() {
            let place = plan.place(e, me);
            let senders: Vec<_> = (0..place).map(|place| plan.party(e, place)).collect();
            if place == stage {
                let values = self.pass.digits(e);
                for (digit, value) in values.into_iter().enumerate() {
                    let phasors = rounded(&plan, digit, value);
                    let own = OwnDigit { digit, value, phasors: &phasors };
                    let mut sum = self.turned(e, &phasors);
                    for &peer in &senders {
                        let (Some(link), Some(batch)) = (&links[peer], &self.batches[peer]) else {
                            continue;
                        };
                        // The message of an evaluation: the high digit, then the low one.
                        let (from, to) = if digit == 0 { (0, high) } else { (high, bytes) };
                        let start = done[peer] * bytes;
                        let wrong = (peer, "a correction is out of range");
                        let part = received[peer].get(start + from..start + to).ok_or(wrong)?;
                        let levels = digit * plan.digits()[0] as usize;
                        let at = nth[peer] * plan.of().angle_bits as usize + levels;
                        one_hot::receive(
                            (&plan, &self.layout),
                            (peer, &link.receive, &batch.chosen, at),
                            &own,
                            part,
                            &mut sum,
                            &mut scratch,
                        )
                        .ok_or(wrong)?;
                        let Some(binding) = link.receive.challenges().filter(|_| digit == 1) else {
                            continue;
                        };
                        let (first, ends) = (batch.chosen.first, (start + to, bodies[peer]));
                        if !scratch.shown[peer].agrees(binding, first, &received[peer], ends) {
                            return Err((peer, "trees that do not hang together"));
                        }
                    }
                    self.pass.state(e).copy_from_slice(&sum);
                }
                senders.iter().for_each(|&peer| done[peer] += 1);
            }
            senders.iter().for_each(|&peer| nth[peer] += 1);
        }
        Ok(())
    }

    /// The own share, turned by the own phasor.
    fn turned(&mut self, e: usize, phasors: &[(i16, i16)]) -> Zeroizing<Vec<u128>> {
        let plan = self.pass.plan.clone();
        let mut out = Zeroizing::new(Vec::with_capacity(2 * phasors.len()));
        for (k, (pair, &(c, s))) in
            self.pass.state(e).as_chunks::<2>().0.iter().zip(phasors).enumerate()
        {
            let times = |x: u128, f: i16| x.wrapping_mul(f as i128 as u128);
            let mask = mask(plan.ring(k));
            out.push(times(pair[0], c).wrapping_sub(times(pair[1], s)) & mask);
            out.push(times(pair[0], s).wrapping_add(times(pair[1], c)) & mask);
        }
        out
    }
}
