//! Arithmetic mod a prime of 50 bits, in constant time but for what is said to be for public
//! numbers.

/// A prime q between 2^49 and 2^50.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modulus(u64);

/// A constant c below q with floor(2^64 c / q): what a fast multiplication by c needs (Shoup).
#[derive(Clone, Copy, Debug)]
pub struct Multiplier {
    /// c.
    pub value: u64,
    /// floor(2^64 c / q).
    pub quotient: u64,
}

impl Modulus {
    /// # Panics
    /// Unless 2^49 < q < 2^50.
    #[must_use]
    pub fn new(q: u64) -> Self {
        assert!(q > 1 << 49 && q < 1 << 50, "a prime of 50 bits");
        Self(q)
    }

    /// q.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }

    /// x - q if x is not below it, for x < 2q.
    #[inline(always)]
    #[must_use]
    pub fn once(self, x: u64) -> u64 {
        x.min(x.wrapping_sub(self.0))
    }

    /// a + b for a and b below q.
    #[inline(always)]
    #[must_use]
    pub fn sum(self, a: u64, b: u64) -> u64 {
        self.once(a + b)
    }

    /// a - b for a and b below q.
    #[inline(always)]
    #[must_use]
    pub fn difference(self, a: u64, b: u64) -> u64 {
        self.once(a + self.0 - b)
    }

    /// The residue of a small signed number, |x| < 2^49.
    #[inline(always)]
    #[must_use]
    pub fn signed(self, x: i64) -> u64 {
        (x as u64).wrapping_add(self.0 & ((x >> 63) as u64))
    }

    /// x c mod q below 2q, for any x.
    #[inline(always)]
    #[must_use]
    pub fn lazy(self, x: u64, c: Multiplier) -> u64 {
        let high = ((u128::from(x) * u128::from(c.quotient)) >> 64) as u64;
        x.wrapping_mul(c.value).wrapping_sub(high.wrapping_mul(self.0))
    }

    /// x c mod q, for any x.
    #[inline(always)]
    #[must_use]
    pub fn times(self, x: u64, c: Multiplier) -> u64 {
        self.once(self.lazy(x, c))
    }

    /// The constant `value`, which is public and below q.
    #[must_use]
    pub fn multiplier(self, value: u64) -> Multiplier {
        assert!(value < self.0);
        let quotient = ((u128::from(value) << 64) / u128::from(self.0)) as u64;
        Multiplier { value, quotient }
    }

    /// a b mod q, for public numbers.
    #[must_use]
    pub fn product(self, a: u64, b: u64) -> u64 {
        (u128::from(a) * u128::from(b) % u128::from(self.0)) as u64
    }

    /// base^exponent mod q, for public numbers.
    #[must_use]
    pub fn power(self, base: u64, mut exponent: u64) -> u64 {
        let (mut square, mut result) = (base % self.0, 1);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.product(result, square);
            }
            square = self.product(square, square);
            exponent >>= 1;
        }
        result
    }

    /// 1 / a mod q, for a public number.
    #[must_use]
    pub fn inverse(self, a: u64) -> u64 {
        self.power(a, self.0 - 2)
    }
}
