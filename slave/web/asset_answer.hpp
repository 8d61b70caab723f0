#pragma once

#include "slave/web/assets.hpp"
#include "slave/web/http.hpp"

namespace rpic {

/// A file of the page, packed if the browser understands that, or 304. The answer to HEAD still has
/// its body, whose length the header tells.
Answer asset_answer(const Request& request, const Asset& asset);

}  // namespace rpic
