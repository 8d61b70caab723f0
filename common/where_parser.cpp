#include <algorithm>
#include <array>

#include "common/limits.hpp"
#include "common/text.hpp"
#include "common/where.hpp"
#include "common/where_values.hpp"

namespace rpic {

using namespace where_values;

/// Reads an expression from left to right, with one call on the stack for each level of it.
class WhereParser {
  public:
    explicit WhereParser(std::string_view text) : text_(text) {}

    Where parse() {
        if (text_.size() > limits::where_chars)
            throw WhereError(limits::where_chars + 1,
                             "the expression is longer than " +
                                 std::to_string(limits::where_chars) +
                                 " characters: give the nodes a label and ask for that");
        where_.text_ = text_;
        advance();
        if (kind_ == Token::end) return std::move(where_);
        where_.root_ = parse_row(Where::Kind::any, 0);
        if (kind_ != Token::end) fail_expected("&&, || or the end");
        return std::move(where_);
    }

  private:
    enum class Token { word, comparison, both, either, negation, open, close, end };

    [[noreturn]] void fail(std::size_t at, const std::string& reason) const {
        throw WhereError(at + 1, reason);
    }

    [[noreturn]] void fail_expected(const std::string& expected) const {
        std::string found = kind_ == Token::end
                                ? "the expression ends here"
                                : "found " + printable(text_.substr(begin_, end_ - begin_), 40);
        std::string hint;
        if (kind_ == Token::word && !quoted_ && (word_ == "and" || word_ == "or"))
            hint = word_ == "and" ? " (\"and\" is written &&)" : " (\"or\" is written ||)";
        fail(begin_, "expected " + expected + ", " + found + hint);
    }

    /// Takes the next token.
    void advance() {
        last_end_ = end_;
        while (end_ < text_.size() &&
               std::string_view(" \t\r\n\f\v").find(text_[end_]) != std::string_view::npos)
            ++end_;
        begin_ = end_;
        quoted_ = false;
        word_.clear();
        if (begin_ == text_.size()) {
            kind_ = Token::end;
            return;
        }
        if (!take_symbol()) take_word();
    }

    bool take_symbol() {
        struct Symbol {
            std::string_view text;
            Token kind;
            Where::Operator op = Where::Operator::equal;
        };
        using enum Where::Operator;
        // A longer one stands before those that it begins with.
        static constexpr std::array<Symbol, 11> symbols = {{
            {"==", Token::comparison, equal},
            {"!=", Token::comparison, unequal},
            {"<=", Token::comparison, at_most},
            {">=", Token::comparison, at_least},
            {"<", Token::comparison, less},
            {">", Token::comparison, more},
            {"&&", Token::both},
            {"||", Token::either},
            {"!", Token::negation},
            {"(", Token::open},
            {")", Token::close},
        }};
        for (const auto& symbol : symbols) {
            if (text_.substr(begin_, symbol.text.size()) != symbol.text) continue;
            kind_ = symbol.kind;
            op_ = symbol.op;
            end_ = begin_ + symbol.text.size();
            return true;
        }
        const char c = text_[begin_];
        if (c == '=') fail(begin_, "a single = compares nothing: write ==");
        if (c == '&') fail(begin_, "a single & means nothing: write &&");
        if (c == '|') fail(begin_, "a single | means nothing: write ||");
        return false;
    }

    void take_word() {
        kind_ = Token::word;
        const char quote = text_[begin_];
        quoted_ = quote == '"' || quote == '\'';
        if (quoted_) {
            const auto closing = text_.find(quote, begin_ + 1);
            if (closing == std::string_view::npos)
                fail(begin_, std::string("this quote is never closed: expected another ") + quote);
            word_ = text_.substr(begin_ + 1, closing - begin_ - 1);
            end_ = closing + 1;
        } else {
            constexpr std::string_view ends_word = " \t\r\n\f\v=!<>&|()'\"";
            end_ = std::min(text_.find_first_of(ends_word, begin_), text_.size());
            word_ = text_.substr(begin_, end_ - begin_);
        }
    }

    int add(Where::Kind kind, std::size_t begin) {
        where_.parts_.push_back({});
        where_.parts_.back().kind = kind;
        where_.parts_.back().begin = begin;
        return static_cast<int>(where_.parts_.size()) - 1;
    }

    Where::Part& part(int index) { return where_.parts_[static_cast<std::size_t>(index)]; }

    /// A row of || (any) holds rows of && (all), and those hold single conditions.
    int parse_row(Where::Kind kind, int depth) {
        const bool any = kind == Where::Kind::any;
        const auto parse_element = [&] {
            return any ? parse_row(Where::Kind::all, depth) : parse_condition(depth);
        };
        const std::size_t begin = begin_;
        const int first = parse_element();
        const Token joined_by = any ? Token::either : Token::both;
        if (kind_ != joined_by) return first;
        const int row = add(kind, begin);
        part(row).first_child = first;
        int last = first;
        while (kind_ == joined_by) {
            advance();
            const int next = parse_element();
            part(last).next = next;
            last = next;
        }
        part(row).end = last_end_;
        return row;
    }

    int parse_condition(int depth) {
        if (depth > limits::where_depth)
            fail(begin_, "more than " + std::to_string(limits::where_depth) +
                             " levels of ( and !: write it flatter");
        const std::size_t begin = begin_;
        if (kind_ == Token::negation) {
            advance();
            const int inner = parse_condition(depth + 1);
            const int index = add(Where::Kind::negation, begin);
            part(index).first_child = inner;
            part(index).end = last_end_;
            return index;
        }
        if (kind_ == Token::open) {
            advance();
            const int inner = parse_row(Where::Kind::any, depth + 1);
            if (kind_ != Token::close) fail_expected("&&, || or )");
            advance();
            return inner;
        }
        if (kind_ != Token::word) fail_expected("the name of a label or fact, ! or (");
        return parse_test();
    }

    int parse_test() {
        const int index = add(Where::Kind::is_set, begin_);
        const bool name_quoted = quoted_;
        part(index).name = word_;
        if (const auto fact = find_fact(word_)) {
            part(index).fact = static_cast<int>(*fact);
            where_.asks_vitals_ = where_.asks_vitals_ || changes_with_heartbeats(*fact);
        }
        advance();
        if (kind_ == Token::comparison) {
            if (!name_quoted && to_number(part(index).name))
                fail(part(index).begin, "expected a name on the left, found the number " +
                                            printable(part(index).name, quoted_chars) +
                                            ": write NAME first, as in ram>=2G");
            part(index).kind = Where::Kind::comparison;
            part(index).op = op_;
            advance();
            if (kind_ != Token::word) fail_expected("a value to compare with");
            part(index).value = word_;
            part(index).number = to_number(word_);
            advance();
            if (kind_ == Token::comparison) fail_expected("&&, || or the end");
        }
        part(index).end = last_end_;
        return index;
    }

    std::string_view text_;
    Where where_;
    Token kind_ = Token::end;
    Where::Operator op_ = Where::Operator::equal;  // of a comparison
    std::string word_;
    bool quoted_ = false;
    std::size_t begin_ = 0;  // of the token
    std::size_t end_ = 0;
    std::size_t last_end_ = 0;  // of the token before it
};

Where Where::parse(std::string_view text) {
    return WhereParser(text).parse();
}

}  // namespace rpic
