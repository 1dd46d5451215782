//! A contact sheet: pictures in rows and columns, with captions.

use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

/// Pixels between pictures.
const GAP: u32 = 8;
const TEXT: RasterHeight = RasterHeight::Size16;
/// Height of a line.
const LINE: u32 = TEXT.val() as u32;
/// The least side of a cell, so that a caption has room.
const LEAST: u32 = 112;

/// A picture and what is written below it.
pub struct Cell {
    pub picture: RgbImage,
    pub caption: String,
}

/// A title and the pictures below it.
pub struct Column {
    pub title: String,
    pub cells: Vec<Cell>,
}

/// Draws `columns` beside each other. Pictures fit into squares of `side` pixels, or of a multiple where that is small.
pub fn draw(columns: &[Column], side: u32) -> RgbImage {
    let side = side * LEAST.div_ceil(side);
    let (across, down) = (side + GAP, side + LINE + GAP);
    let rows = columns.iter().map(|column| column.cells.len()).max().unwrap_or(0) as u32;
    let (width, height) = (GAP + columns.len() as u32 * across, GAP + LINE + rows * down);
    let mut sheet = RgbImage::from_pixel(width, height, Rgb([255; 3]));
    for (column, x) in columns.iter().zip((GAP..).step_by(across as usize)) {
        write(&mut sheet, &column.title, x, GAP / 2, side);
        for (cell, y) in column.cells.iter().zip((GAP + LINE..).step_by(down as usize)) {
            let picture = fitted(&cell.picture, side);
            let (left, top) = (x + (side - picture.width()) / 2, y + (side - picture.height()) / 2);
            overlay(&mut sheet, &picture, left.into(), top.into());
            write(&mut sheet, &cell.caption, x, y + side, side);
        }
    }
    sheet
}

/// As large as fits into a square; enlarged pixels stay square.
fn fitted(picture: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let longest = width.max(height);
    let fit = |length: u32| (u64::from(length) * u64::from(side) / u64::from(longest)).max(1) as u32;
    let filter = if longest > side { FilterType::Triangle } else { FilterType::Nearest };
    resize(picture, fit(width), fit(height), filter)
}

/// Writes a line into that many pixels; what is too long ends in two dots.
fn write(sheet: &mut RgbImage, text: &str, left: u32, top: u32, width: u32) {
    let advance = get_raster_width(FontWeight::Regular, TEXT) as u32;
    let room = (width / advance) as usize;
    let mut letters: Vec<char> = text.chars().collect();
    if letters.len() > room {
        letters.truncate(room.saturating_sub(2));
        letters.extend("..".chars());
    }
    for (letter, x) in letters.into_iter().zip((left..).step_by(advance as usize)) {
        let glyph = ['?', letter].into_iter().rev().find_map(|letter| get_raster(letter, FontWeight::Regular, TEXT));
        let rows = glyph.into_iter().flat_map(|glyph| glyph.rows().zip(top..));
        for (row, y) in rows {
            row.iter().zip(x..).for_each(|(&ink, x)| sheet.put_pixel(x, y, Rgb([255 - ink; 3])));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_in_their_cells() {
        let cell = |colour: [u8; 3], width, height| Cell {
            picture: RgbImage::from_pixel(width, height, Rgb(colour)),
            caption: "a caption that is far too long for it, in Ελληνικά".into(),
        };
        let one = Column { title: "one".into(), cells: vec![cell([200, 0, 0], 28, 28), cell([0, 0, 200], 1, 900)] };
        let two = Column { title: "two".into(), cells: vec![cell([0, 200, 0], 56, 28)] };
        let sheet = draw(&[one, two], 28);
        assert_eq!(sheet.dimensions(), (8 + 2 * 120, 24 + 2 * 136));
        let at = |x, y| sheet.get_pixel(x, y).0;
        assert_eq!([at(8, 24), at(119, 135), at(128 + 56, 24 + 56)], [[200, 0, 0], [200, 0, 0], [0, 200, 0]]);
        assert_eq!(at(128 + 56, 24 + 20), [255; 3], "a wide picture leaves room above and below");
        assert_eq!(
            [at(8 + 55, 160), at(8 + 57, 160)],
            [[0, 0, 200], [255; 3]],
            "a narrow one is a pixel wide at least"
        );
        let dark = |x: u32, y: u32| (x..x + 112).any(|x| (y..y + 16).any(|y| at(x, y)[0] < 128));
        assert!(dark(8, 4) && dark(8, 136) && dark(128, 136) && !dark(128, 276));
        assert!((0..112).all(|y| at(121, 24 + y) == [255; 3]), "nothing stands between the cells");
    }
}
