#pragma once

namespace rpic {

/// Takes the code of this program and its libraries out of its memory; what is run again comes back
/// from the page cache, a fault of some microseconds each. To be called when the work of starting
/// is over, which needs most of the code once and never again. Data is not touched.
void release_code_pages();

}  // namespace rpic
