#pragma once

#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace rpic {

/// SHA-256 of bytes that come piece by piece.
class Sha256 {
  public:
    Sha256();

    void update(std::string_view bytes);

    /// The digest in lower-case hex, and starts anew.
    std::string finish();

  private:
    struct Free {
        void operator()(evp_md_ctx_st* context) const;
    };
    std::unique_ptr<evp_md_ctx_st, Free> context_;
};

/// The name of a blob with these contents.
std::string sha256_hex(std::string_view bytes);

}  // namespace rpic
