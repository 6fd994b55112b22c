//! Numbers with a fraction in JSON.
//!
//! nlohmann's library prints them with the Grisu2 algorithm (Florian Loitsch, *Printing
//! floating-point numbers quickly and accurately with integers*, 2010), which gives digits that
//! read back as the same number, but in about one case of a thousand not the shortest ones. To be
//! the same to the byte, so does this.

/// Appends `number` as nlohmann's library does: `null` if it isn't finite.
pub fn write_float(out: &mut Vec<u8>, number: f64) {
    if !number.is_finite() {
        out.extend_from_slice(b"null");
        return;
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    if number == 0.0 {
        out.extend_from_slice(b"0.0");
        return;
    }
    let (digits, exponent) = shortest_digits(number.abs());
    layout(out, &digits, exponent);
}

/// Places the decimal point in `digits * 10^exponent`.
fn layout(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    const LEAST_POINT: i32 = -4;
    const MOST_POINT: i32 = 15;
    let count = digits.len() as i32;
    let point = count + exponent;
    if count <= point && point <= MOST_POINT {
        out.extend_from_slice(digits);
        out.resize(out.len() + (point - count) as usize, b'0');
        out.extend_from_slice(b".0");
    } else if 0 < point && point <= MOST_POINT {
        out.extend_from_slice(&digits[..point as usize]);
        out.push(b'.');
        out.extend_from_slice(&digits[point as usize..]);
    } else if LEAST_POINT < point && point <= 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + point.unsigned_abs() as usize, b'0');
        out.extend_from_slice(digits);
    } else {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        let exponent = point - 1;
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("e{sign}{:02}", exponent.abs()).as_bytes());
    }
}

/// `significand * 2^exponent`
#[derive(Clone, Copy)]
struct Scaled {
    significand: u64,
    exponent: i32,
}

impl Scaled {
    fn normalized(self) -> Self {
        let shift = self.significand.leading_zeros();
        Scaled { significand: self.significand << shift, exponent: self.exponent - shift as i32 }
    }

    /// The same number with a smaller exponent.
    fn with_exponent(self, exponent: i32) -> Self {
        Scaled { significand: self.significand << (self.exponent - exponent), exponent }
    }

    /// The product, rounded to 64 bits.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.significand) * u128::from(other.significand);
        let rounded = (product + (1 << 63)) >> 64;
        Scaled { significand: rounded as u64, exponent: self.exponent + other.exponent + 64 }
    }
}

const MANTISSA_BITS: u32 = 52;
const EXPONENT_BIAS: i32 = 1075;

/// Decimal digits `D` and an exponent such that `D * 10^exponent` reads back as `number`.
fn shortest_digits(number: f64) -> (Vec<u8>, i32) {
    let bits = number.to_bits();
    let biased = (bits >> MANTISSA_BITS) as i32;
    let fraction = bits & ((1 << MANTISSA_BITS) - 1);
    let value = if biased == 0 {
        Scaled { significand: fraction, exponent: 1 - EXPONENT_BIAS }
    } else {
        Scaled { significand: fraction | (1 << MANTISSA_BITS), exponent: biased - EXPONENT_BIAS }
    };
    // The middles between this number and its neighbours.
    let above = Scaled { significand: 2 * value.significand + 1, exponent: value.exponent - 1 };
    let lower_is_closer = fraction == 0 && biased > 1;
    let below = if lower_is_closer {
        Scaled { significand: 4 * value.significand - 1, exponent: value.exponent - 2 }
    } else {
        Scaled { significand: 2 * value.significand - 1, exponent: value.exponent - 1 }
    };
    let above = above.normalized();
    let below = below.with_exponent(above.exponent);
    let value = value.normalized();

    let (power, decimal_exponent) = cached_power(above.exponent);
    let value = value.times(power);
    let above = above.times(power);
    let below = below.times(power);
    // One unit off each for the rounding of the products.
    let low = below.significand + 1;
    let high = Scaled { significand: above.significand - 1, exponent: above.exponent };
    generate_digits(low, value.significand, high, -decimal_exponent)
}

/// Digits of `high`, as few as lead to a number not below `low`, then brought close to `value`.
fn generate_digits(low: u64, value: u64, high: Scaled, mut exponent: i32) -> (Vec<u8>, i32) {
    let mut digits = Vec::with_capacity(17);
    let mut width = high.significand - low;
    let mut distance = high.significand - value;
    let one_shift = high.exponent.unsigned_abs();
    let one = 1_u64 << one_shift;
    let mut whole = high.significand >> one_shift;
    let mut fraction = high.significand & (one - 1);
    let mut left = whole.checked_ilog10().map_or(1, |log| log + 1);
    let mut power = 10_u64.pow(left - 1);
    while left > 0 {
        digits.push(b'0' + (whole / power) as u8);
        whole %= power;
        left -= 1;
        let rest = (whole << one_shift) + fraction;
        if rest <= width {
            exponent += left as i32;
            round(&mut digits, distance, width, rest, power << one_shift);
            return (digits, exponent);
        }
        power /= 10;
    }
    loop {
        fraction *= 10;
        digits.push(b'0' + (fraction >> one_shift) as u8);
        fraction &= one - 1;
        exponent -= 1;
        width *= 10;
        distance *= 10;
        if fraction <= width {
            round(&mut digits, distance, width, fraction, one);
            return (digits, exponent);
        }
    }
}

/// Lowers the last digit while that comes closer to the number and stays within the bounds.
fn round(digits: &mut [u8], distance: u64, width: u64, mut rest: u64, unit: u64) {
    let Some(last) = digits.last_mut() else { return };
    while rest < distance
        && width - rest >= unit
        && (rest + unit < distance || distance - rest > rest + unit - distance)
    {
        *last -= 1;
        rest += unit;
    }
}

const FIRST_POWER: i32 = -300;
const POWER_STEP: i32 = 8;

/// A power of ten whose product with a number of this exponent has an exponent from -60 to -32.
fn cached_power(exponent: i32) -> (Scaled, i32) {
    const LEAST_EXPONENT: i32 = -60;
    let wanted = LEAST_EXPONENT - exponent - 1;
    // 78913 / 2^18 is log10(2) from above.
    let least = wanted * 78913 / (1 << 18) + i32::from(wanted > 0);
    let index = (-FIRST_POWER + least + (POWER_STEP - 1)) / POWER_STEP;
    let decimal = FIRST_POWER + index * POWER_STEP;
    // floor(decimal * log2(10)) - 63
    let binary = ((decimal * 217_706) >> 16) - 63;
    (Scaled { significand: POWERS[index as usize], exponent: binary }, decimal)
}

/// The leading 64 bits of 10^-300, 10^-292, … 10^324, rounded.
const POWERS: [u64; 79] = [
    0xab70_fe17_c79a_c6ca,
    0xff77_b1fc_bebc_dc4f,
    0xbe56_91ef_416b_d60c,
    0x8dd0_1fad_907f_fc3c,
    0xd351_5c28_3155_9a83,
    0x9d71_ac8f_ada6_c9b5,
    0xea9c_2277_23ee_8bcb,
    0xaecc_4991_4078_536d,
    0x823c_1279_5db6_ce57,
    0xc210_9436_4dfb_5637,
    0x9096_ea6f_3848_984f,
    0xd774_85cb_2582_3ac7,
    0xa086_cfcd_97bf_97f4,
    0xef34_0a98_172a_ace5,
    0xb238_67fb_2a35_b28e,
    0x84c8_d4df_d2c6_3f3b,
    0xc5dd_4427_1ad3_cdba,
    0x936b_9fce_bb25_c996,
    0xdbac_6c24_7d62_a584,
    0xa3ab_6658_0d5f_daf6,
    0xf3e2_f893_dec3_f126,
    0xb5b5_ada8_aaff_80b8,
    0x8762_5f05_6c7c_4a8b,
    0xc9bc_ff60_34c1_3053,
    0x964e_858c_91ba_2655,
    0xdff9_7724_7029_7ebd,
    0xa6df_bd9f_b8e5_b88f,
    0xf8a9_5fcf_8874_7d94,
    0xb944_7093_8fa8_9bcf,
    0x8a08_f0f8_bf0f_156b,
    0xcdb0_2555_6531_31b6,
    0x993f_e2c6_d07b_7fac,
    0xe45c_10c4_2a2b_3b06,
    0xaa24_2499_6973_92d3,
    0xfd87_b5f2_8300_ca0e,
    0xbce5_0864_9211_1aeb,
    0x8cbc_cc09_6f50_88cc,
    0xd1b7_1758_e219_652c,
    0x9c40_0000_0000_0000,
    0xe8d4_a510_0000_0000,
    0xad78_ebc5_ac62_0000,
    0x813f_3978_f894_0984,
    0xc097_ce7b_c907_15b3,
    0x8f7e_32ce_7bea_5c70,
    0xd5d2_38a4_abe9_8068,
    0x9f4f_2726_179a_2245,
    0xed63_a231_d4c4_fb27,
    0xb0de_6538_8cc8_ada8,
    0x83c7_088e_1aab_65db,
    0xc45d_1df9_4271_1d9a,
    0x924d_692c_a61b_e758,
    0xda01_ee64_1a70_8dea,
    0xa26d_a399_9aef_774a,
    0xf209_787b_b47d_6b85,
    0xb454_e4a1_79dd_1877,
    0x865b_8692_5b9b_c5c2,
    0xc835_53c5_c896_5d3d,
    0x952a_b45c_fa97_a0b3,
    0xde46_9fbd_99a0_5fe3,
    0xa59b_c234_db39_8c25,
    0xf6c6_9a72_a398_9f5c,
    0xb7dc_bf53_54e9_bece,
    0x88fc_f317_f222_41e2,
    0xcc20_ce9b_d35c_78a5,
    0x9816_5af3_7b21_53df,
    0xe2a0_b5dc_971f_303a,
    0xa8d9_d153_5ce3_b396,
    0xfb9b_7cd9_a4a7_443c,
    0xbb76_4c4c_a7a4_4410,
    0x8bab_8eef_b640_9c1a,
    0xd01f_ef10_a657_842c,
    0x9b10_a4e5_e991_3129,
    0xe710_9bfb_a19c_0c9d,
    0xac28_20d9_623b_f429,
    0x8044_4b5e_7aa7_cf85,
    0xbf21_e440_03ac_dd2d,
    0x8e67_9c2f_5e44_ff8f,
    0xd433_179d_9c8c_b841,
    0x9e19_db92_b4e3_1ba9,
];
