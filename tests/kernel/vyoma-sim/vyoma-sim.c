// SPDX-License-Identifier: GPL-2.0
/*
 * Devices that are not there, for tests of what reaches real ones through the
 * kernel: an I2C bus with a thermometer, a register file and a slow memory, an
 * SPI controller with a loopback and a converter, and an IIO converter. Made by
 * cargo xtask, and in images for tests only.
 *
 * Everything a test sets is a module parameter; each of the three can be
 * unbound from its driver like a device that is pulled out.
 */
#include <linux/delay.h>
#include <linux/i2c.h>
#include <linux/iio/iio.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/spi/spi.h>

/* Temperature register of the thermometer, as a TMP105 has it: 1/256 degree. */
static ushort temperature = 0x1900;
module_param(temperature, ushort, 0644);
MODULE_PARM_DESC(temperature, "register 0 of the thermometer at 0x48");

/* One device can be off the bus, also while it is being talked to. */
static ushort unplugged;
module_param(unplugged, ushort, 0644);
MODULE_PARM_DESC(unplugged, "I2C address that nobody answers at; 0: none");

/* Bytes that went to and from the slow memory: a test sees that it is used. */
static uint moved;
module_param(moved, uint, 0444);
MODULE_PARM_DESC(moved, "bytes that the slow memory has moved");

#define SPI_CHANNELS 8

static ushort converter[SPI_CHANNELS] = { 0, 128, 256, 384, 512, 640, 768, 1023 };
module_param_array(converter, ushort, NULL, 0644);
MODULE_PARM_DESC(converter, "10-bit values of the converter on the SPI bus");

/* --- I2C ---------------------------------------------------------------- */

#define THERMOMETER	0x48	/* 16-bit registers, like a TMP105 */
#define MEMORY		0x50	/* SLOW microseconds for each byte */
#define REGISTERS	0x76	/* 8-bit registers; chip id like a BME280's */

#define SLOW		2000

struct sim_i2c {
	struct i2c_adapter adapter;
	u16 words[4];
	u8 bytes[256];
	u8 memory[256];
	u8 pointer;
};

static bool sim_is_there(u16 addr)
{
	if (addr == READ_ONCE(unplugged))
		return false;
	return addr == THERMOMETER || addr == MEMORY || addr == REGISTERS;
}

/* Byte @at of a message to or from the device that has the register pointer. */
static void sim_i2c_byte(struct sim_i2c *sim, struct i2c_msg *msg, int at)
{
	u8 *byte = &msg->buf[at];
	u16 *word = &sim->words[sim->pointer % ARRAY_SIZE(sim->words)];
	u8 *cell;

	if (!(msg->flags & I2C_M_RD) && at == 0) {
		sim->pointer = *byte;
		return;
	}
	if (msg->addr == THERMOMETER) {
		/* High byte first; the pointer stays. */
		bool high = (msg->flags & I2C_M_RD) ? at % 2 == 0 : at % 2 == 1;

		if (sim->pointer == 0)
			*word = READ_ONCE(temperature);
		if (msg->flags & I2C_M_RD)
			*byte = high ? *word >> 8 : *word & 0xff;
		else if (high)
			*word = (*word & 0x00ff) | *byte << 8;
		else
			*word = (*word & 0xff00) | *byte;
		return;
	}
	cell = msg->addr == MEMORY ? sim->memory : sim->bytes;
	cell += sim->pointer++;
	if (msg->flags & I2C_M_RD)
		*byte = *cell;
	else
		*cell = *byte;
}

static int sim_i2c_xfer(struct i2c_adapter *adapter, struct i2c_msg *msgs, int num)
{
	struct sim_i2c *sim = i2c_get_adapdata(adapter);
	int i, at;

	for (i = 0; i < num; i++) {
		/* i2c/fault-codes: nobody acknowledges the address. */
		if (!sim_is_there(msgs[i].addr))
			return -ENXIO;
		for (at = 0; at < msgs[i].len; at++) {
			sim_i2c_byte(sim, &msgs[i], at);
			if (msgs[i].addr != MEMORY)
				continue;
			usleep_range(SLOW, 2 * SLOW);
			moved++;
			/* Pulled out in the middle: the clock is never let go. */
			if (!sim_is_there(MEMORY))
				return -ETIMEDOUT;
		}
	}
	return num;
}

static u32 sim_i2c_functionality(struct i2c_adapter *adapter)
{
	return I2C_FUNC_I2C | I2C_FUNC_SMBUS_EMUL;
}

static const struct i2c_algorithm sim_i2c_algorithm = {
	.xfer = sim_i2c_xfer,
	.functionality = sim_i2c_functionality,
};

static int sim_i2c_probe(struct platform_device *pdev)
{
	struct sim_i2c *sim = devm_kzalloc(&pdev->dev, sizeof(*sim), GFP_KERNEL);

	if (!sim)
		return -ENOMEM;
	/* Configuration, lower and upper limit of a TMP105 after power-on. */
	sim->words[1] = 0x0060;
	sim->words[2] = 0x4b00;
	sim->words[3] = 0x5000;
	sim->bytes[0xd0] = 0x60;
	sim->adapter.owner = THIS_MODULE;
	sim->adapter.algo = &sim_i2c_algorithm;
	sim->adapter.dev.parent = &pdev->dev;
	sim->adapter.nr = 0;
	strscpy(sim->adapter.name, "vyoma-sim", sizeof(sim->adapter.name));
	i2c_set_adapdata(&sim->adapter, sim);
	return devm_i2c_add_adapter(&pdev->dev, &sim->adapter);
}

static struct platform_driver sim_i2c_driver = {
	.driver = { .name = "vyoma-sim-i2c" },
	.probe = sim_i2c_probe,
};

/* --- SPI ---------------------------------------------------------------- */

#define LOOPBACK	0	/* chip selects */
#define CONVERTER	1

/* An MCP3008's answer: start bit in byte 0, channel in byte 1, 10 bits back. */
static u8 sim_converter_byte(const u8 *tx, unsigned int len, unsigned int at)
{
	u16 value;

	if (!tx || len < 3 || tx[0] != 1)
		return 0;
	value = READ_ONCE(converter[(tx[1] >> 4) & (SPI_CHANNELS - 1)]) & 0x3ff;
	if (at == 1)
		return value >> 8;
	return at == 2 ? value & 0xff : 0;
}

static int sim_spi_transfer(struct spi_controller *ctlr, struct spi_device *spi,
			    struct spi_transfer *transfer)
{
	const u8 *tx = transfer->tx_buf;
	u8 *rx = transfer->rx_buf;
	unsigned int at;

	for (at = 0; rx && at < transfer->len; at++) {
		if (spi_get_chipselect(spi, 0) == CONVERTER)
			rx[at] = sim_converter_byte(tx, transfer->len, at);
		else
			rx[at] = tx ? tx[at] : 0;
	}
	return 0;
}

static int sim_spi_probe(struct platform_device *pdev)
{
	struct spi_board_info info = {
		/* One of the names that spidev takes. */
		.modalias = "dh2228fv",
		.max_speed_hz = 10000000,
	};
	struct spi_controller *ctlr;
	int err;

	ctlr = devm_spi_alloc_host(&pdev->dev, 0);
	if (!ctlr)
		return -ENOMEM;
	ctlr->bus_num = 0;
	ctlr->num_chipselect = 2;
	ctlr->mode_bits = SPI_CPOL | SPI_CPHA;
	ctlr->bits_per_word_mask = SPI_BPW_MASK(8);
	ctlr->transfer_one = sim_spi_transfer;
	err = devm_spi_register_controller(&pdev->dev, ctlr);
	if (err)
		return err;
	for (info.chip_select = LOOPBACK; info.chip_select <= CONVERTER; info.chip_select++)
		if (!spi_new_device(ctlr, &info))
			return -ENODEV;
	return 0;
}

static struct platform_driver sim_spi_driver = {
	.driver = { .name = "vyoma-sim-spi" },
	.probe = sim_spi_probe,
};

/* --- IIO ---------------------------------------------------------------- */

#define ADC_BITS	12
#define ADC_MILLIVOLTS	3300

struct sim_adc {
	int values[2];
};

static int sim_adc_read(struct iio_dev *iio, const struct iio_chan_spec *channel,
			int *value, int *value2, long what)
{
	struct sim_adc *adc = iio_priv(iio);

	switch (what) {
	case IIO_CHAN_INFO_RAW:
		*value = READ_ONCE(adc->values[channel->channel]);
		return IIO_VAL_INT;
	case IIO_CHAN_INFO_SCALE:
		*value = ADC_MILLIVOLTS;
		*value2 = ADC_BITS;
		return IIO_VAL_FRACTIONAL_LOG2;
	default:
		return -EINVAL;
	}
}

/* What a real converter measures, a test writes. */
static int sim_adc_write(struct iio_dev *iio, const struct iio_chan_spec *channel,
			 int value, int value2, long what)
{
	struct sim_adc *adc = iio_priv(iio);

	if (what != IIO_CHAN_INFO_RAW || value < 0 || value >= 1 << ADC_BITS)
		return -EINVAL;
	WRITE_ONCE(adc->values[channel->channel], value);
	return 0;
}

static const struct iio_info sim_adc_info = {
	.read_raw = sim_adc_read,
	.write_raw = sim_adc_write,
};

#define SIM_CHANNEL(n) {					\
	.type = IIO_VOLTAGE,					\
	.indexed = 1,						\
	.channel = (n),						\
	.info_mask_separate = BIT(IIO_CHAN_INFO_RAW),		\
	.info_mask_shared_by_type = BIT(IIO_CHAN_INFO_SCALE),	\
}

static const struct iio_chan_spec sim_adc_channels[] = {
	SIM_CHANNEL(0),
	SIM_CHANNEL(1),
};

static int sim_adc_probe(struct platform_device *pdev)
{
	struct iio_dev *iio;
	struct sim_adc *adc;

	iio = devm_iio_device_alloc(&pdev->dev, sizeof(*adc));
	if (!iio)
		return -ENOMEM;
	adc = iio_priv(iio);
	adc->values[0] = 1024;
	adc->values[1] = 4095;
	iio->name = "vyoma-adc";
	iio->info = &sim_adc_info;
	iio->channels = sim_adc_channels;
	iio->num_channels = ARRAY_SIZE(sim_adc_channels);
	iio->modes = INDIO_DIRECT_MODE;
	return devm_iio_device_register(&pdev->dev, iio);
}

static struct platform_driver sim_adc_driver = {
	.driver = { .name = "vyoma-sim-adc" },
	.probe = sim_adc_probe,
};

/* --- all three ---------------------------------------------------------- */

static struct platform_driver * const drivers[] = {
	&sim_i2c_driver,
	&sim_spi_driver,
	&sim_adc_driver,
};

static struct platform_device *devices[ARRAY_SIZE(drivers)];

static void sim_unregister(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		platform_device_unregister(devices[i]);
	platform_unregister_drivers(drivers, ARRAY_SIZE(drivers));
}

static int __init sim_init(void)
{
	int i, err;

	err = platform_register_drivers(drivers, ARRAY_SIZE(drivers));
	if (err)
		return err;
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		struct platform_device *device;

		device = platform_device_register_simple(drivers[i]->driver.name,
							 PLATFORM_DEVID_NONE, NULL, 0);
		if (IS_ERR(device)) {
			sim_unregister();
			return PTR_ERR(device);
		}
		devices[i] = device;
	}
	return 0;
}
module_init(sim_init);
module_exit(sim_unregister);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Simulated I2C, SPI and IIO devices for tests of Vyoma");
