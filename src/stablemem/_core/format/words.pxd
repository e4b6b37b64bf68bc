# Types, inline access to words, and CRC-32C for the compiled modules. words.py and checksum.py have the
# interpreted forms.
from libc.string cimport memcpy, memmove

# The constants of layout.py that hot paths compare with.
cdef enum:
    HEADER_SIZE = 12288
    RAW_PAGE = 3
    REGION_PAGE = 65536
    NODE_SIZE = 4096
    INLINE_SIZE = 8
    MAX_LEVELS = 12
    LEAF_CAPACITY = 255
    LEAF_MINIMUM = 127
    INNER_CAPACITY = 170
    INNER_MINIMUM = 85

ctypedef unsigned long long u64
ctypedef unsigned int u32
ctypedef const unsigned char* page_t
ctypedef unsigned char* dirty_t

# The crc32 instruction is an intrinsic, which only C can name. Every module that takes crc32c_at
# from here has its own inlined copy.
cdef extern from *:
    """
    #ifndef STABLEMEM_CRC32C
    #define STABLEMEM_CRC32C
    #include <stdint.h>
    #include <string.h>

    static uint32_t stablemem_crc_tables[8][256];
    static int stablemem_crc_ready = 0;

    static void stablemem_crc_prepare(void) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t value = byte;
            for (int bit = 0; bit < 8; bit++)
                value = value >> 1 ^ (value & 1 ? 0x82F63B78u : 0);
            stablemem_crc_tables[0][byte] = value;
        }
        for (int table = 1; table < 8; table++)
            for (uint32_t byte = 0; byte < 256; byte++) {
                uint32_t value = stablemem_crc_tables[table - 1][byte];
                stablemem_crc_tables[table][byte] = value >> 8 ^ stablemem_crc_tables[0][value & 255];
            }
        stablemem_crc_ready = 1;
    }

    /* Slicing by 8 (Kounavis and Berry, 2008). */
    static uint32_t stablemem_crc_by_table(const unsigned char *data, size_t size) {
        uint32_t crc = 0xFFFFFFFFu;
        if (!stablemem_crc_ready) stablemem_crc_prepare();
        while (size >= 8) {
            uint64_t word;
            memcpy(&word, data, 8);
            word ^= crc;
            crc = 0;
            for (int byte = 0; byte < 8; byte++)
                crc ^= stablemem_crc_tables[7 - byte][word >> (8 * byte) & 255];
            data += 8;
            size -= 8;
        }
        while (size--) crc = stablemem_crc_tables[0][(crc ^ *data++) & 255] ^ crc >> 8;
        return ~crc;
    }

    #if defined(__x86_64__) && defined(__GNUC__)
    __attribute__((target("sse4.2")))
    static uint32_t stablemem_crc_by_instruction(const unsigned char *data, size_t size) {
        uint64_t crc = 0xFFFFFFFFu;
        while (size >= 8) {
            uint64_t word;
            memcpy(&word, data, 8);
            crc = __builtin_ia32_crc32di(crc, word);
            data += 8;
            size -= 8;
        }
        while (size--) crc = __builtin_ia32_crc32qi((uint32_t) crc, *data++);
        return ~(uint32_t) crc;
    }

    static inline uint32_t stablemem_crc32c(const unsigned char *data, size_t size) {
        return __builtin_cpu_supports("sse4.2") ? stablemem_crc_by_instruction(data, size)
                                                 : stablemem_crc_by_table(data, size);
    }
    #else
    static inline uint32_t stablemem_crc32c(const unsigned char *data, size_t size) {
        return stablemem_crc_by_table(data, size);
    }
    #endif
    #endif
    """
    u32 crc32c_at "stablemem_crc32c" (page_t data, size_t size) nogil

# One instruction each. C has no names for these, either.
cdef extern from *:
    """
    #ifdef __GNUC__
    #define stablemem_turned(word) __builtin_bswap64(word)
    #define stablemem_bits(word) (64 - __builtin_clzll(word))
    #else
    static unsigned long long stablemem_turned(unsigned long long word) {
        unsigned long long other = 0;
        for (int byte = 0; byte < 8; byte++) other = other << 8 | (word >> 8 * byte & 255);
        return other;
    }
    static int stablemem_bits(unsigned long long word) {
        int bits = 0;
        while (word) bits++, word >>= 1;
        return bits;
    }
    #endif
    """
    u64 turned64 "stablemem_turned" (u64 word) nogil  # its bytes in reverse order
    int bits64 "stablemem_bits" (u64 word) nogil  # its number of bits; not for 0

# Makes the processor fetch n bytes, without waiting for them.
cdef extern from *:
    """
    #if defined(__GNUC__)
    #define stablemem_prefetch(p, n) \\
        for (int at_ = 0; at_ < (n); at_ += 64) __builtin_prefetch((const char *)(p) + at_)
    #else
    #define stablemem_prefetch(p, n) (void)(p)
    #endif
    """
    void prefetch "stablemem_prefetch" (const void *start, int size) noexcept

cdef inline int get8(page_t page, Py_ssize_t offset) noexcept:
    return page[offset]

cdef inline int get16(page_t page, Py_ssize_t offset) noexcept:
    cdef unsigned short value
    memcpy(&value, page + offset, 2)
    return value

cdef inline u32 get32(page_t page, Py_ssize_t offset) noexcept:
    cdef u32 value
    memcpy(&value, page + offset, 4)
    return value

cdef inline u64 get64(page_t page, Py_ssize_t offset) noexcept:
    cdef u64 value
    memcpy(&value, page + offset, 8)
    return value

cdef inline void put8(dirty_t page, Py_ssize_t offset, int value) noexcept:
    page[offset] = <unsigned char> value

cdef inline void put16(dirty_t page, Py_ssize_t offset, int value) noexcept:
    cdef unsigned short word = <unsigned short> value
    memcpy(page + offset, &word, 2)

cdef inline void put64(dirty_t page, Py_ssize_t offset, u64 value) noexcept:
    memcpy(page + offset, &value, 8)

# For Cython, a shift of a plain 1 by 63 is a Python integer. These stay in C.
cdef inline u64 mark(u64 number) noexcept:
    return number | (<u64> 1 << 63)

cdef inline u64 unmark(u64 address) noexcept:
    return address ^ (<u64> 1 << 63)

cdef inline u64 low32(u64 word) noexcept:
    return <u32> word

cdef inline u64 high32(u64 word) noexcept:
    return word >> 32

cdef inline void move(dirty_t page, Py_ssize_t to, Py_ssize_t source, Py_ssize_t size) noexcept:
    memmove(page + to, page + source, size)
