//! Pictures: real PNGs, which come from a seed that is in their address, so that none needs to be kept.

use std::io::Write;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::{Compression, Crc, write::ZlibEncoder};
use tokio::time::Instant;

use crate::answer::go_wrong;
use crate::draw::{Draw, hash, mix};
use crate::inbound::Inbound;
use crate::refusal::Refusal;
use crate::rules::Asked;

/// How wide or high a picture can be.
pub const PICTURE_SIDE_MAX: u32 = 2_048;
/// The sides of its squares.
const SQUARE: u32 = 32;
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Where the picture of a seed is found.
pub(crate) fn url(base: &str, seed: u64, width: u32, height: u32) -> String {
    format!("{base}/fal/files/{seed:016x}-{width}x{height}.png")
}

/// Coloured squares.
pub(crate) fn png(seed: u64, width: u32, height: u32) -> Vec<u8> {
    let (width, height) = (width.clamp(1, PICTURE_SIDE_MAX), height.clamp(1, PICTURE_SIDE_MAX));
    let mut png = SIGNATURE.to_vec();
    // 8 bits for each of red, green and blue.
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    chunk(&mut png, *b"IHDR", &head);
    chunk(&mut png, *b"IDAT", &pixels(seed, width, height));
    chunk(&mut png, *b"IEND", &[]);
    png
}

fn chunk(png: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    let mut crc = Crc::new();
    crc.update(&name);
    crc.update(data);
    png.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    png.extend(name);
    png.extend(data);
    png.extend(crc.sum().to_be_bytes());
}

fn pixels(seed: u64, width: u32, height: u32) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    for row in 0..height {
        let colour = |column: u32| {
            let square = (u64::from(row / SQUARE) << 32) | u64::from(column / SQUARE);
            let [red, green, blue, ..] = Draw::new(seed ^ mix(square)).bits().to_be_bytes();
            [red, green, blue]
        };
        // No filter, then the pixels, a square at a time.
        let mut line = vec![0];
        for start in (0..width).step_by(SQUARE as usize) {
            let colour = colour(start);
            (start..width.min(start + SQUARE)).for_each(|_| line.extend(colour));
        }
        // Writing to memory does not fail.
        let _ = encoder.write_all(&line);
    }
    encoder.finish().unwrap_or_default()
}

/// What rules for faults call pictures that are fetched.
const MODEL: &str = "pictures";

/// Serves a picture by its address: to everybody, as a provider's network of copies does.
pub(crate) async fn serve(Path(name): Path<String>, inbound: Inbound) -> Result<Response, Refusal> {
    let Some((seed, width, height)) = parse(&name) else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let asked = Asked { dialect: inbound.dialect, model: MODEL, creates: false };
    let mut draw = Draw::new(hash(&[inbound.request_id.as_bytes()]));
    let fault = inbound.sim.rules().pick(&asked, Instant::now(), &mut draw);
    inbound.meet(fault.as_ref()).await?;
    let mut response = png(seed, width, height).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("image/png"));
    if let Some(fault) = &fault {
        go_wrong(&mut response, fault, &inbound.line).await;
    }
    Ok(response)
}

fn parse(name: &str) -> Option<(u64, u32, u32)> {
    let (seed, size) = name.strip_suffix(".png")?.split_once('-')?;
    let (width, height) = size.split_once('x')?;
    Some((u64::from_str_radix(seed, 16).ok()?, width.parse().ok()?, height.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_picture_is_a_png_of_its_size() {
        let png = png(3, 40, 33);
        assert!(png.starts_with(SIGNATURE));
        assert_eq!((&png[16..20], &png[20..24]), (&40_u32.to_be_bytes()[..], &33_u32.to_be_bytes()[..]));
        let place = png.windows(4).position(|window| window == b"IDAT").unwrap() + 4;
        let mut pixels = Vec::new();
        flate2::read::ZlibDecoder::new(&png[place..]).read_to_end(&mut pixels).unwrap();
        assert_eq!(pixels.len(), 33 * (1 + 40 * 3));
        assert_ne!(super::png(4, 40, 33), png);
    }

    #[test]
    fn its_address_says_all_about_it() {
        let url = url("http://h", 0xabc, 64, 32);
        assert_eq!(url, "http://h/fal/files/0000000000000abc-64x32.png");
        assert_eq!(parse("0000000000000abc-64x32.png"), Some((0xabc, 64, 32)));
        assert_eq!(parse("x.png"), None);
    }
}
